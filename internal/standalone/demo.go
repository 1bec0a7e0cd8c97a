package standalone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
	"rescind/internal/uuidv7"
)

const (
	// DemoAccount is the account of the sample data.
	DemoAccount = "demo"
	// DemoKey is its API key. Everybody knows it.
	DemoKey = "demo"
	// DemoRevocable is the first of DemoInvites invites that may be revoked, and DemoTooOld one that may not.
	DemoRevocable = 318
	DemoTooOld    = 317
	DemoInvites   = 20
)

// CheckDemo tells why the sample data cannot be served at this address of a listener; nil when it can. A key that
// everybody knows must not be reached from elsewhere.
func CheckDemo(addr net.Addr) error {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return nil
	}
	return errors.New("--demo has a key that everybody knows, so it listens on this machine alone: " +
		"give an address such as 127.0.0.1:8080, or leave --demo out and make a key with: api key create")
}

// withoutDemoKey is a store in which the key of the sample data opens nothing.
type withoutDemoKey struct{ *sqlite.Store }

// KeysByHash implements api.Keys.
func (s withoutDemoKey) KeysByHash(ctx context.Context, hashes []revocation.SecretHash) ([]revocation.APIKey, error) {
	keys, err := s.Store.KeysByHash(ctx, hashes)
	demo := revocation.HashSecret(DemoKey)
	return slices.DeleteFunc(keys, func(key revocation.APIKey) bool { return key.Hash == demo }), err
}

// loadDemo adds the sample data; what is there already stays revoked.
func loadDemo(ctx context.Context, store *sqlite.Store) error {
	name, contact := "Example Company", "recruiting@example.com"
	planChanged := time.Date(2025, 1, 15, 10, 32, 45, 0, time.UTC)
	err := store.SetAccount(ctx, revocation.AccountChange{
		ID: DemoAccount, Name: &name, Contact: &contact, PlanChangedAt: &planChanged,
	})
	if err != nil {
		return err
	}
	hash := revocation.HashSecret(DemoKey)
	known, err := store.KeysByHash(ctx, []revocation.SecretHash{hash})
	if err == nil && len(known) == 0 {
		err = store.AddKey(ctx, revocation.APIKey{
			ID: uuidv7.New(), Account: DemoAccount, Hash: hash, Scopes: revocation.Scopes,
		})
	}
	if err != nil {
		return err
	}
	invites := []revocation.Invite{{
		ReportID: DemoTooOld, CandidateName: "Grace Hopper", CandidateEmail: "grace@example.com",
		AssessmentName: "Compiler Engineer", SentAt: planChanged.Add(-24 * time.Hour),
	}}
	for i := range int64(DemoInvites) {
		invites = append(invites, revocation.Invite{
			ReportID: DemoRevocable + i, CandidateName: fmt.Sprintf("Candidate %d", i+1),
			CandidateEmail: fmt.Sprintf("candidate%d@example.com", i+1), AssessmentName: "Analytical Engineer",
			SentAt: planChanged.AddDate(1, 0, int(i)),
		})
	}
	return store.UpsertInvites(ctx, DemoAccount, invites)
}
