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
	// lineInterval is how often a line tells of progress where there is no terminal.
	lineInterval = 5 * time.Second
	// barInterval is how often a bar is drawn.
	barInterval = 100 * time.Millisecond
)

// display tells on standard error how far something is: by a bar on a terminal, by a line now and then
// elsewhere. Its methods may be called at the same time.
type display struct {
	w        io.Writer
	terminal bool

	mu   sync.Mutex
	bar  *progressbar.ProgressBar
	what string    // the thing that is under way
	told time.Time // when the last line about it was
}

func newDisplay(w io.Writer, environ []string) *display {
	d := &display{w: w}
	if f, ok := w.(*os.File); ok && !slices.Contains(environ, "TERM=dumb") {
		d.terminal = term.IsTerminal(int(f.Fd()))
	}
	return d
}

// upload tells how many bytes have been sent.
func (d *display) upload(sent, size int64) {
	const what = "Uploading"
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.terminal {
		d.line(what, fmt.Sprintf("%s: %s of %s", what, bytesText(sent), bytesText(size)))
		return
	}
	d.show(what, size, progressbar.OptionShowBytes(true))
	_ = d.bar.Set64(sent) // nobody is told of a terminal that is gone
}

// job tells how far a job is.
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
		d.line(what, fmt.Sprintf("Job %s: %s, %d of %d done%s", printable(j.ID), what, j.Done(), j.Total, more))
		return
	}
	d.show("Job", int64(j.Total), progressbar.OptionShowDescriptionAtLineEnd())
	d.bar.Describe(what + more)
	_ = d.bar.Set(j.Done())
}

// line tells text if something else is under way than before, or if the last line is long ago.
func (d *display) line(what, text string) {
	if d.what == what && time.Since(d.told) < lineInterval {
		return
	}
	d.what, d.told = what, time.Now()
	_, _ = fmt.Fprintln(d.w, text)
}

// show makes the bar one for what is under way.
func (d *display) show(what string, size int64, options ...progressbar.Option) {
	if d.bar != nil && d.what == what {
		return
	}
	d.close()
	d.what = what
	d.bar = progressbar.NewOptions64(max(size, 1), append([]progressbar.Option{
		progressbar.OptionSetWriter(d.w), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
		progressbar.OptionFullWidth(), progressbar.OptionUseANSICodes(true), progressbar.OptionThrottle(barInterval),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(true), // the API tells what is left
	}, options...)...)
}

// close leaves the bar as it stands.
func (d *display) close() {
	if d.bar != nil {
		_, _ = fmt.Fprintln(d.w)
		d.bar = nil
	}
}

// end ends what is told of progress.
func (d *display) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.close()
	d.what = ""
}

// retry tells that a request failed and is sent again.
func (d *display) retry(err error, in time.Duration) {
	d.say("Trying again in %s: %s", in.Round(100*time.Millisecond), printable(err.Error()))
}

// say prints a line of its own.
func (d *display) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bar != nil {
		_ = d.bar.Clear() // it is drawn again below
	}
	_, _ = fmt.Fprintf(d.w, format+"\n", args...)
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	const thousand = 1000
	switch {
	case n >= thousand*thousand:
		return fmt.Sprintf("%.1f MB", float64(n)/(thousand*thousand))
	case n >= thousand:
		return fmt.Sprintf("%.1f kB", float64(n)/thousand)
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}
