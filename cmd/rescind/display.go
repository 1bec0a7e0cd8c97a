package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"rescind/internal/client"
)

const (
	// lineInterval is how often progress is printed as a line when standard error is not a terminal.
	lineInterval = 5 * time.Second
	// barInterval is the shortest time between two updates of a bar.
	barInterval = 100 * time.Millisecond
)

// display shows progress on standard error: as a bar on a terminal, and otherwise as a line every lineInterval. It is safe
// for concurrent use.
type display struct {
	w io.Writer
	// person reports whether somebody can read what is written, and terminal whether the cursor can be moved there.
	person   bool
	terminal bool

	mu      sync.Mutex
	bar     *progressbar.ProgressBar
	what    string    // what is in progress
	printed time.Time // the time of the last line about it
}

func newDisplay(w io.Writer, environ []string) *display {
	d := &display{w: w}
	if f, ok := w.(*os.File); ok {
		d.person = term.IsTerminal(int(f.Fd()))
	}
	d.terminal = d.person && !slices.Contains(environ, "TERM=dumb")
	return d
}

// upload shows how many bytes have been sent.
func (d *display) upload(sent, size int64) {
	const what = "Uploading"
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.terminal {
		d.line(what, fmt.Sprintf("%s: %s of %s", what, bytesText(sent), bytesText(size)))
		return
	}
	d.show(what, size, progressbar.OptionShowBytes(true))
	_ = d.bar.Set64(sent) // there is no place to report that the terminal is closed
}

// job shows the progress of a job.
func (d *display) job(j client.Job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	more := ""
	if j.Retrying > 0 {
		more += fmt.Sprintf(", %d tried again later", j.Retrying)
	}
	if !j.Ended() && j.ItemsPerSecond >= 1 {
		more += fmt.Sprintf(", %.0f/s", j.ItemsPerSecond)
	}
	if j.ETA != nil && !j.Ended() {
		if left := time.Until(*j.ETA).Round(time.Second); left > 0 {
			more += fmt.Sprintf(", %s left", left)
		}
	}
	what := printable(string(j.State))
	if !d.terminal {
		d.line(what, fmt.Sprintf("Job %s: %s, %d of %d done%s", printable(j.ID), what, progressOf(j), j.Total, more))
		return
	}
	d.show("Job", int64(j.Total), progressbar.OptionShowDescriptionAtLineEnd())
	d.bar.Describe(what + more)
	_ = d.bar.Set(progressOf(j))
}

// progressOf returns how many items of a job are done: predicted while the preview is being made, and final afterwards.
func progressOf(j client.Job) int {
	if j.State == client.JobPreviewing {
		return int(j.Progress * float64(j.Total))
	}
	return j.Done()
}

// line prints text unless a line about the same thing was printed within lineInterval.
func (d *display) line(what, text string) {
	if d.what == what && time.Since(d.printed) < lineInterval {
		return
	}
	d.what, d.printed = what, time.Now()
	_, _ = fmt.Fprintln(d.w, text)
}

// show starts a new bar unless the current one is for the same thing.
func (d *display) show(what string, size int64, options ...progressbar.Option) {
	if d.bar != nil && d.what == what {
		return
	}
	d.close()
	d.what = what
	d.bar = progressbar.NewOptions64(max(size, 1), append([]progressbar.Option{
		progressbar.OptionSetWriter(d.w), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
		progressbar.OptionFullWidth(), progressbar.OptionUseANSICodes(true), progressbar.OptionThrottle(barInterval),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(true), // the API reports the time left
	}, options...)...)
}

// close ends the line of the bar and leaves it on the screen.
func (d *display) close() {
	if d.bar != nil {
		_, _ = fmt.Fprintln(d.w)
		d.bar = nil
	}
}

// end ends the display of progress.
func (d *display) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.close()
	d.what = ""
}

// retry prints that a request failed and will be sent again.
func (d *display) retry(err error, in time.Duration) {
	d.say("Trying again in %s: %s", in.Round(100*time.Millisecond), printable(err.Error()))
}

// say prints a line above the bar.
func (d *display) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bar != nil {
		_ = d.bar.Clear() // it is drawn again below
	}
	_, _ = fmt.Fprintf(d.w, format+"\n", args...)
}

// ask prints a question, after which the answer is typed.
func (d *display) ask(question string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.close()
	_, _ = fmt.Fprint(d.w, question)
}

// bytesText formats a number of bytes for people.
func bytesText(n int64) string {
	const thousand = 1000
	switch {
	case n >= thousand*thousand:
		return fmt.Sprintf("%.1f MB", float64(n)/(thousand*thousand))
	case n >= thousand:
		return fmt.Sprintf("%.1f kB", float64(n)/thousand)
	default:
		return plural(int(n), "byte")
	}
}
