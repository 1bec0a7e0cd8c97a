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

// childrenOf lists the children of a process that has just been told to stop.
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

// running tells whether a process is more than the memory of one: whoever inherits an orphan may be slow to
// bury it.
func running(pid int) bool {
	state, _, ok := stat(pid)
	return ok && state != 'Z' && state != 'X'
}

// stat reads a process's state and parent. ok is false when it is gone.
func stat(pid int) (state byte, ppid int, ok bool) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	// The second field is the program's name in brackets, and may hold anything.
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) < 2 {
		return 0, 0, false
	}
	ppid, err = strconv.Atoi(string(fields[1]))
	return fields[0][0], ppid, err == nil
}

// memoryRoom is in bytes: many times what the tests of a package hold at once.
const memoryRoom = 4 << 30

// memoryDir is a directory whose files are in memory, empty where there is none with room enough. Making a database is
// making a thousand files, which takes a disk longer than most tests. What a test binary that was killed has left there
// would stay, and goes now.
func memoryDir() string {
	const dir = "/dev/shm"
	left, _ := filepath.Glob(filepath.Join(dir, clusterPrefix+"*")) // the pattern is well formed
	for _, cluster := range left {
		if abandoned(cluster) {
			_ = os.RemoveAll(cluster) // or another test binary was first
		}
	}
	var about syscall.Statfs_t
	if err := syscall.Statfs(dir, &about); err != nil || about.Bavail*uint64(about.Bsize) < memoryRoom { //nolint:gosec // a size is positive
		return ""
	}
	return dir
}

// abandoned tells whether a cluster's server is dead. One that has none is being made, unless that was long ago.
func abandoned(cluster string) bool {
	line, err := os.ReadFile(filepath.Join(cluster, "data", "postmaster.pid"))
	if err != nil {
		about, err := os.Stat(cluster)
		return err == nil && time.Since(about.ModTime()) > time.Hour
	}
	first, _, _ := bytes.Cut(line, []byte("\n"))
	pid, err := strconv.Atoi(string(first))
	return err == nil && !running(pid)
}
