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
	// DemoKey is the API key of that account. It is public.
	DemoKey = "demo"
	// DemoRevocable is the report_id of the first of DemoInvites invites that may be revoked. DemoTooOld is the report_id of
	// an invite that may not be revoked.
	DemoRevocable = 318
	DemoTooOld    = 317
	DemoInvites   = 20
)

// CheckDemo returns an error unless a listener's address is a loopback address. A service with a public key must not be
// reachable from other machines.
func CheckDemo(addr net.Addr) error {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return nil
	}
	return errors.New("--demo uses a public key, so it listens on loopback addresses only: " +
		"use an address such as 127.0.0.1:8080, or leave out --demo and make a key with: api key create")
}

// withoutDemoKey is a store that does not find the key of the sample data.
type withoutDemoKey struct{ *sqlite.Store }

// KeysByHash implements api.Keys.
func (s withoutDemoKey) KeysByHash(ctx context.Context, hashes []revocation.SecretHash) ([]revocation.APIKey, error) {
	keys, err := s.Store.KeysByHash(ctx, hashes)
	demo := revocation.HashSecret(DemoKey)
	return slices.DeleteFunc(keys, func(key revocation.APIKey) bool { return key.Hash == demo }), err
}

// loadDemo adds the sample data. Sample invites that were revoked before stay revoked.
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
