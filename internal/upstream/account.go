package upstream

import (
	"time"

	"rescind/internal/revocation"
)

const (
	// idleAccount is how long the state of an account without calls is kept.
	idleAccount = 10 * time.Minute
	sweepEvery  = time.Minute
	// refusedFor is how long a refused key counts: some longer than the minute after which it is tried again,
	// by whichever process it may be.
	refusedFor = 2 * time.Minute
)

// account is what the platform remembers of an account between its calls. It belongs to the Platform's lock.
type account struct {
	limiter *limiter
	// What has shown itself under one URL and key.
	identity identity
	breaker  *breaker
	refused  time.Time

	visits int
	used   time.Time
}

// visit is an account as one call finds it: a change of the account does not touch the call.
type visit struct {
	account *account
	limiter *limiter
	breaker *breaker
}

// enter finds or makes the state of target's account and brings it up to date with target. A changed URL or
// key has nothing against it.
func (p *Client) enter(target revocation.Target) visit {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.swept) >= sweepEvery {
		p.sweep(now)
	}
	a, ok := p.accounts[target.Account]
	if !ok {
		a = new(account)
		p.accounts[target.Account] = a
	}
	if id := identityOf(target); a.breaker == nil || a.identity != id {
		a.identity, a.refused = id, time.Time{}
		a.breaker = newBreaker(target.Account, p.breakerOpen, p.log)
	}
	if a.limiter == nil || !a.limiter.fit(target) {
		a.limiter = newLimiter(target)
	}
	a.visits++
	return visit{account: a, limiter: a.limiter, breaker: a.breaker}
}

func (p *Client) leave(v visit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v.account.visits--
	v.account.used = p.now()
}

// record notes whether the key was refused, unless the account has changed since the call began.
func (p *Client) record(v visit, r revocation.Reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case v.account.breaker != v.breaker:
	case refusesKey(r):
		v.account.refused = p.now()
	case takesKey(r):
		v.account.refused = time.Time{}
	}
}

// sweep forgets accounts that have not been called for long.
func (p *Client) sweep(now time.Time) {
	p.swept = now
	for id, a := range p.accounts {
		if a.visits == 0 && now.Sub(a.used) >= idleAccount && a.limiter.rested() {
			delete(p.accounts, id)
		}
	}
}

// count is the number of accounts that are so at the time now.
func (p *Client) count(so func(a *account, now time.Time) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for _, a := range p.accounts {
		if so(a, now) {
			n++
		}
	}
	return n
}

func isOpen(a *account, _ time.Time) bool {
	_, open := a.breaker.isOpen()
	return open
}

func isPaused(a *account, now time.Time) bool {
	return !a.refused.IsZero() && now.Sub(a.refused) < refusedFor
}
