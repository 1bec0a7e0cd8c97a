// Command rescind revokes one invite, a candidate's invites or a file of invites through the service's HTTP API, and finds
// invites. RESCIND_URL is the address of the service and RESCIND_API_KEY the API key.
//
// It prints results on standard output and progress on standard error. The exit status is 0 if all invites are revoked, now
// or before, if a job is accepted and not waited for, or if a list is printed; 1 if there is another outcome or none yet; 2 if
// the request failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"rescind/internal/client"
)

type commands struct {
	JSON bool `name:"json" help:"Print the body of the API's response unchanged, also of an error; for scripts."`

	Insecure bool `name:"insecure" help:"Allow sending the key to another machine over plain http."`

	Revoke  revokeCommand  `cmd:"" help:"Revoke one invite, or all invites of a candidate."`
	Cancel  cancelCommand  `cmd:"" help:"Cancel one revocation that is not final."`
	Bulk    bulkCommand    `cmd:"" help:"Revoke the invites of a file as one job. On a terminal it shows what would happen, and asks first."`
	Invites invitesCommand `cmd:"" help:"Find invites: by candidate, assessment, state and time, newest first."`
	Job     struct {
		List    jobListCommand    `cmd:"" help:"List jobs, newest first."`
		Show    jobShowCommand    `cmd:"" help:"Show the progress of a job, or its preview."`
		Results jobResultsCommand `cmd:"" help:"Print a job's items with their outcomes, one on each line."`
		Confirm jobConfirmCommand `cmd:"" help:"Confirm a job that waits for it, so that it is carried out."`
		Approve jobApproveCommand `cmd:"" help:"Approve a job that another key has confirmed. The key needs the scope approve."`
		Start   jobStartCommand   `cmd:"" help:"Begin a job now that waits for its time."`
		Cancel  jobCancelCommand  `cmd:"" help:"Cancel the items that are not carried out yet. Invites that are revoked stay revoked."`
		Retry   jobRetryCommand   `cmd:"" help:"Retry the items that ended as ERROR_REVOKING, as a new job."`
	} `cmd:"" help:"Manage jobs."`
	Events eventsCommand `cmd:"" help:"Print what happened in the account: who did what, oldest first."`
}

const about = `Revokes candidates' invites, through the service at RESCIND_URL (https://…) with the key in RESCIND_API_KEY.

Exit status: 0: all invites are revoked, now or before; or a list was printed; or a job was accepted or cancelled and not waited for. 1: there is another outcome, or none yet, or a job waits for a confirmation or an approval that nobody has given. 2: the request failed.`

const (
	exitOK      = 0
	exitOutcome = 1
	exitFailed  = 2
)

// errOutcome makes the program exit with exitOutcome. The command has printed the outcome.
var errOutcome = errors.New("not all are revoked")

// process is the environment of a command.
type process struct {
	ctx     context.Context //nolint:containedctx // the process runs one command
	stdin   io.Reader
	stdout  io.Writer
	display *display
	client  *client.Client
	json    bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	exit := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(exit)
}

func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	exit := -1
	var chosen commands
	parser, err := kong.New(&chosen,
		kong.Name("rescind"),
		kong.Description(about),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.UsageOnError())
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "rescind:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // help was requested
		return exit
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "rescind: %s\nSee: rescind --help\n", printable(err.Error()))
		return exitFailed
	}
	settings, faults := readSettings(environ, chosen.Insecure)
	if len(faults) > 0 {
		_, _ = fmt.Fprintf(stderr, "rescind: %s\n", strings.Join(faults, "\nrescind: "))
		return exitFailed
	}
	p := &process{ctx: ctx, stdin: stdin, stdout: stdout, display: newDisplay(stderr, environ), json: chosen.JSON}
	p.client = client.New(client.Options{URL: settings.url, Key: settings.key, OnRetry: p.display.retry})
	err = command.Run(p)
	p.display.end()
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errOutcome):
		return exitOutcome
	case errors.Is(err, context.Canceled):
		p.display.say("Stopped.")
		return exitFailed
	default:
		p.fail(err)
		return exitFailed
	}
}

// fail prints why a request failed, with all details from the API.
func (p *process) fail(err error) {
	p.display.say("rescind: %s", printable(err.Error()))
	problem, ok := errors.AsType[*client.Problem](err)
	if !ok {
		return
	}
	for _, f := range problem.Errors {
		p.display.say("  %s: %s (%s)", printable(f.Field), printable(f.Detail), printable(f.Code))
	}
	if problem.Code == "unauthorized" {
		p.display.say("The key is taken from RESCIND_API_KEY.")
	}
	if problem.JobID != "" {
		p.display.say("That is job %[1]s. Follow it: rescind job show %[1]s --follow.", printable(problem.JobID))
	}
	if problem.State != "" {
		p.display.say("The job is %s.", printable(string(problem.State)))
	}
	if problem.Code == "count_mismatch" {
		p.display.say("The preview predicts %d. Look at the job with rescind job show before you confirm this number.", problem.Count)
	}
	if problem.RequestID != "" {
		p.display.say("Request id: %s", printable(problem.RequestID))
	}
	if p.json && problem.Body != nil {
		_ = p.body(problem.Body) // the exit status reports the failure anyway
	}
}

// body prints the body of a response.
func (p *process) body(b []byte) error {
	_, err := fmt.Fprintf(p.stdout, "%s\n", b)
	return err
}

// print prints results on standard output.
func (p *process) print(format string, args ...any) error {
	_, err := fmt.Fprintf(p.stdout, format, args...)
	return err
}
