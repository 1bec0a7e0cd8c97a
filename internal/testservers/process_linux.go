package testservers

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func dieWithParent(attr *syscall.SysProcAttr, last syscall.Signal) { attr.Pdeathsig = last }

// childrenOf lists the children of a process that has just received SIGSTOP.
func childrenOf(parent int) []int {
	for state, _, ok := stat(parent); ok && state != 'T' && state != 'Z'; state, _, ok = stat(parent) {
		time.Sleep(pollInterval)
	}
	var children []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, path := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if _, ppid, ok := stat(pid); ok && ppid == parent {
			children = append(children, pid)
		}
	}
	return children
}

// running reports whether a process exists and is not a zombie. An orphan may stay a zombie until its new parent reaps it.
func running(pid int) bool {
	state, _, ok := stat(pid)
	return ok && state != 'Z' && state != 'X'
}

// stat returns the state and the parent of a process. ok is false if the process is gone.
func stat(pid int) (state byte, ppid int, ok bool) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	// The second field is the program's name in parentheses, and may contain any characters.
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) < 2 {
		return 0, 0, false
	}
	ppid, err = strconv.Atoi(string(fields[1]))
	return fields[0][0], ppid, err == nil
}

// memoryRoom is the free space required, in bytes. It is many times what the tests of a package use.
const memoryRoom = 4 << 30

// memoryDir returns a directory whose files are in memory, or an empty string if none has enough space. Creating a database
// creates a thousand files, which takes longer on a disk than most tests. memoryDir also deletes the clusters that killed
// test binaries have left there.
func memoryDir() string {
	const dir = "/dev/shm"
	left, _ := filepath.Glob(filepath.Join(dir, clusterPrefix+"*")) // the pattern is well formed
	for _, cluster := range left {
		if abandoned(cluster) {
			_ = os.RemoveAll(cluster) // fails if another test binary was faster
		}
	}
	var about syscall.Statfs_t
	if err := syscall.Statfs(dir, &about); err != nil || about.Bavail*uint64(about.Bsize) < memoryRoom { //nolint:gosec // a size is positive
		return ""
	}
	return dir
}

// abandoned reports whether a cluster's server is dead. A cluster without a server is being created, unless it is old.
func abandoned(cluster string) bool {
	line, err := os.ReadFile(filepath.Join(cluster, "data", "postmaster.pid"))
	first, _, _ := bytes.Cut(line, []byte("\n"))
	pid, malformed := strconv.Atoi(string(first))
	// The number is negative for a process of initdb, which has several, one after the other.
	if err != nil || malformed != nil || pid <= 0 {
		about, err := os.Stat(cluster)
		return err == nil && time.Since(about.ModTime()) > time.Hour
	}
	return !running(pid)
}
