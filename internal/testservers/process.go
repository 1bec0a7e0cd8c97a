package testservers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

const (
	// readyTimeout is long because the machine may be busy with other tests.
	readyTimeout = time.Minute
	// endTimeout is how long a server may take to exit before it is killed.
	endTimeout   = 10 * time.Second
	pollInterval = 5 * time.Millisecond
	// logTail is the maximum number of bytes of a server's log in an error.
	logTail = 2 << 10
)

var errEnded = errors.New("ended before it was ready")

// process is a server in its own process group. The signal last is sent to it when the test binary dies.
type process struct {
	cmd   *exec.Cmd
	last  syscall.Signal
	log   string
	ended chan struct{}
}

// startProcess starts cmd, appends its output to the file log, and waits until ready returns nil.
func startProcess(cmd *exec.Cmd, last syscall.Signal, log string, ready func() error) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of a server: %w", err)
	}
	defer func() { _ = out.Close() }() // the server has its own file descriptor
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr, last)

	p := &process{cmd: cmd, last: last, log: log, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the signal when the thread that forked ends, so that thread has to outlive the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the log contains the reason
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	if err := p.await(ready); err != nil {
		p.kill()
		return nil, fmt.Errorf("start %s: %w\n%s", cmd.Path, err, p.tail())
	}
	return p, nil
}

func (p *process) await(ready func() error) error {
	for deadline := time.Now().Add(readyTimeout); ; {
		err := ready()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after %s: %w", readyTimeout, err)
		}
		select {
		case <-p.ended:
			return errEnded
		case <-time.After(pollInterval):
		}
	}
}

// kill ends the process and its children with SIGKILL, and returns when they are gone.
func (p *process) kill() {
	pid := p.cmd.Process.Pid
	select {
	case <-p.ended:
		return
	default:
	}
	// A stopped process starts no more children while they are listed. A child may have left the process group.
	p.signal(syscall.SIGSTOP)
	children := childrenOf(pid)
	p.signal(syscall.SIGKILL)
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL) // fails if it has exited
	}
	<-p.ended
	for _, child := range children {
		for running(child) {
			time.Sleep(pollInterval)
		}
	}
}

// end sends the same signal as the death of the test binary, and waits.
func (p *process) end() {
	p.signal(p.last)
	select {
	case <-p.ended:
	case <-time.After(endTimeout):
		p.kill()
	}
}

// signal sends a signal to the process and the rest of its group. It does nothing if no process is left.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

func (p *process) tail() string {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-logTail):])
}
