package upstream

import (
	"time"

	"rescind/internal/revocation"
)

const (
	// idleAccount is how long the state of an account without calls is kept.
	idleAccount       = 10 * time.Minute
	idleCheckInterval = time.Minute
	// refusedFor is how long a refused key counts. It is longer than a minute, after which one of the processes tries
	// the key again.
	refusedFor = 2 * time.Minute
)

// account is the state that the Client keeps of an account between its calls. Client.mu guards it.
type account struct {
	limiter *limiter
	// identity identifies the URL and key that breaker and refused are about. refused is when the key was refused last.
	identity identity
	breaker  *breaker
	refused  time.Time

	// visits is the number of calls in progress, used the end of the last one.
	visits int
	used   time.Time
}

// visit is the state of an account at the beginning of a call. A change of the account does not affect the call.
type visit struct {
	account *account
	limiter *limiter
	breaker *breaker
}

// enter returns the state of target's account, updated to target. After a change of the URL or the key, the breaker is
// closed and the key counts as not refused. The caller must call leave.
func (p *Client) enter(target revocation.Target) visit {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.idleChecked) >= idleCheckInterval {
		p.removeIdle(now)
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

// record stores whether the key was refused, unless the URL or key has changed since the call began.
func (p *Client) record(v visit, r revocation.Reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case v.account.breaker != v.breaker:
	case refusesKey(r):
		v.account.refused = p.now()
	case acceptsKey(r):
		v.account.refused = time.Time{}
	}
}

// removeIdle removes accounts that had no call for idleAccount.
func (p *Client) removeIdle(now time.Time) {
	p.idleChecked = now
	for id, a := range p.accounts {
		if a.visits == 0 && now.Sub(a.used) >= idleAccount && a.limiter.idle() {
			delete(p.accounts, id)
		}
	}
}

// count returns the number of accounts for which is returns true.
func (p *Client) count(is func(a *account, now time.Time) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for _, a := range p.accounts {
		if is(a, now) {
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
