//go:build unix && !linux

package testservers

import "syscall"

// Without Linux's word for it, a server outlives a test binary that is killed, and a server's children end
// by themselves once they miss their parent.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

func childrenOf(int) []int { return nil }

func running(int) bool { return false }

// memoryDir is Linux's alone.
func memoryDir() string { return "" }
