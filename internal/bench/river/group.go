package main

import (
	"context"

	"rescind/internal/bench/contender"
)

const (
	flushers = 2
	largest  = 256
)

// group writes together what comes while the last flush is under way.
type group struct {
	waiting chan waiting
}

type waiting struct {
	revocation contender.Revocation
	answer     chan error
}

func newGroup(flush func(context.Context, []contender.Revocation) error) *group {
	g := &group{waiting: make(chan waiting, largest)}
	for range flushers {
		go g.run(flush)
	}
	return g
}

func (g *group) accept(_ context.Context, r contender.Revocation) error {
	w := waiting{r, make(chan error, 1)}
	g.waiting <- w
	return <-w.answer
}

func (g *group) run(flush func(context.Context, []contender.Revocation) error) {
	for first := range g.waiting {
		all := []waiting{first}
		for more := true; more && len(all) < largest; {
			select {
			case w := <-g.waiting:
				all = append(all, w)
			default:
				more = false
			}
		}
		revocations := make([]contender.Revocation, len(all))
		for i, w := range all {
			revocations[i] = w.revocation
		}
		err := flush(context.Background(), revocations)
		for _, w := range all {
			w.answer <- err
		}
	}
}
