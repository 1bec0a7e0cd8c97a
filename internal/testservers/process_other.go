//go:build unix && !linux

package testservers

import "syscall"

// Only Linux has a signal on the parent's death. Elsewhere a server outlives a test binary that is killed, and its children
// exit when they notice the death of their parent.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

func childrenOf(int) []int { return nil }

func running(int) bool { return false }

// memoryDir returns an empty string: only Linux has the directory.
func memoryDir() string { return "" }
