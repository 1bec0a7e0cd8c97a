package submission

import (
	"context"
	"slices"
	"sync"
	"time"

	"rescind/internal/revocation"
)

// feedInterval is how often the store is asked for new events, for all requests together that wait for some.
const feedInterval = 500 * time.Millisecond

// Events returns a page of an account's events. With wait, it returns as soon as there is an event that f selects, at the
// latest after wait. The error's code is CodeInvalid if f.After cannot be continued, as of revocation.EventStore.
func (s *Service) Events(ctx context.Context, f revocation.EventFilter, wait time.Duration) (revocation.EventPage, error) {
	page, err := s.store.Events(ctx, f)
	if err != nil || wait <= 0 {
		return page, err
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for len(page.Events) == 0 {
		waiting := s.awaitEvent(f.Account, page.Next.Number)
		over := false
		select {
		case <-waiting.more:
		case <-deadline.C:
			over = true
		case <-s.drained:
			over = true
		case <-ctx.Done():
			over = true
		}
		waiting.close()
		if over {
			break
		}
		f.After, f.Latest = &page.Next, false
		newer, err := s.store.Events(ctx, f)
		if err != nil {
			return revocation.EventPage{}, err
		}
		page = newer
	}
	return page, nil
}

// feeds are the requests of this process that wait for an event. One goroutine polls for all of them while there are any.
type feeds struct {
	mu       sync.Mutex
	accounts map[string]map[*feed]struct{}
	polling  bool
}

// feed waits for an event of an account with a number above seen.
type feed struct {
	all     *feeds
	account string
	seen    int64
	more    chan struct{} // closed when there is one
}

func (s *Service) awaitEvent(account string, seen int64) *feed {
	fs := s.feeds
	f := &feed{all: fs, account: account, seen: seen, more: make(chan struct{})}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.accounts[account] == nil {
		fs.accounts[account] = make(map[*feed]struct{}, 1)
	}
	fs.accounts[account][f] = struct{}{}
	if !fs.polling {
		fs.polling = true
		go s.pollEvents()
	}
	return f
}

// close removes the feed.
func (f *feed) close() {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	f.all.remove(f)
}

func (fs *feeds) remove(f *feed) {
	delete(fs.accounts[f.account], f)
	if len(fs.accounts[f.account]) == 0 {
		delete(fs.accounts, f.account)
	}
}

// pollEvents wakes the feeds whose accounts have new events, until there are no feeds or the service drains. A read that
// fails is repeated at the next tick.
func (s *Service) pollEvents() {
	tick := time.NewTicker(feedInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.drained:
			return // and so do all requests that wait
		}
		accounts := s.feeds.waiting()
		if len(accounts) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), watchTimeout)
		numbers, err := s.store.EventNumbers(ctx, accounts)
		cancel()
		if err == nil {
			s.feeds.publish(numbers)
		}
	}
}

// waiting returns the accounts with feeds. If there are none, the caller must stop polling.
func (fs *feeds) waiting() []string {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	accounts := make([]string, 0, len(fs.accounts))
	for account := range fs.accounts {
		accounts = append(accounts, account)
	}
	fs.polling = len(accounts) > 0
	slices.Sort(accounts)
	return accounts
}

func (fs *feeds) publish(numbers map[string]int64) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for account, number := range numbers {
		for f := range fs.accounts[account] {
			if number > f.seen {
				close(f.more)
				fs.remove(f)
			}
		}
	}
}
