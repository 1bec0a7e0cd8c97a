package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// asker returns where a person's answers are read from, or nil if nobody can be asked. The caller must close it. Questions go to
// standard error, so that must be a terminal. If standard input is the list, answers come from the terminal itself.
func (p *process) asker(listOnStdin bool) io.ReadCloser {
	if !p.display.person {
		return nil
	}
	if listOnStdin {
		tty, err := os.Open("/dev/tty")
		if err != nil {
			return nil
		}
		return tty
	}
	if f, ok := p.stdin.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return io.NopCloser(p.stdin)
}

// confirmed asks a question and reports whether the answer is yes. Anything else, and the end of the input, is no. It returns
// an error if the program is interrupted meanwhile.
func (p *process) confirmed(from io.Reader, question string) (bool, error) {
	p.display.ask(question + " [y/N] ")
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(from).ReadString('\n') // an error is no answer
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case line := <-answer:
		return line == "y" || line == "yes", nil
	case <-p.ctx.Done():
		return false, errors.New("stopped before the answer")
	}
}
