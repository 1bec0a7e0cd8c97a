// Command api serves rescind's HTTP API, either alone or in a standalone process with a worker and embedded stores. It also
// migrates the database and manages accounts, API keys and invites.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"rescind/internal/telemetry"
)

type commands struct {
	Standalone standaloneCommand `cmd:"" help:"Run the API, a worker, the database and the queue in one process."`
	Serve      serveCommand      `cmd:"" help:"Serve the API on PostgreSQL and Redis."`
	Migrate    migrateCommand    `cmd:"" help:"Bring the database's tables up to date."`
	Health     healthCommand     `cmd:"" name:"healthcheck" help:"Ask the process at ADMIN_ADDR whether it is ready; for a container's health check."`
	Account    struct {
		Set  accountSetCommand  `cmd:"" help:"Create an account or change it."`
		List accountListCommand `cmd:"" help:"List the accounts."`
	} `cmd:"" help:"Manage accounts."`
	Key struct {
		Create keyCreateCommand `cmd:"" help:"Create an API key. Its secret is printed once, alone on standard output."`
		List   keyListCommand   `cmd:"" help:"List the API keys, without their secrets."`
		Revoke keyRevokeCommand `cmd:"" help:"Revoke an API key. All processes refuse it within 5 seconds."`
	} `cmd:"" help:"Manage API keys."`
	Invites struct {
		Import invitesImportCommand `cmd:"" help:"Add or update invites from a CSV file or an .xlsx workbook."`
		Forget invitesForgetCommand `cmd:"" help:"Erase a candidate's name and address from all invites to an address. Emails that are not sent yet are not sent. The invites and their revocations stay."`
	} `cmd:"" help:"Manage invites."`
}

// process is the environment of a command.
type process struct {
	ctx    context.Context //nolint:containedctx // the process runs one command
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	exit := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(exit)
}

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errReported makes the program exit with exitFailed. The command has printed the reason.
var errReported = errors.New("already reported")

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	exit := -1
	parser, err := kong.New(&commands{},
		kong.Name("api"),
		kong.Description("rescind revokes candidates' assessment invites and never loses a request."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.UsageOnError())
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "api:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // help was requested
		return exit
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "api: %v\nSee: api --help\n", err)
		return exitUsage
	}
	err = command.Run(&process{
		ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr,
		log: slog.New(telemetry.Sampled(slog.NewJSONHandler(stderr, nil))),
	})
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailed
	default:
		_, _ = fmt.Fprintln(stderr, "api:", err)
		return exitFailed
	}
}
