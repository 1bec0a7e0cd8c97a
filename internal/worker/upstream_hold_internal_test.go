package worker

import (
	"testing"
	"time"

	"rescind/internal/revocation"
)

func TestHoldAfter(t *testing.T) {
	failed := func(code revocation.Code) revocation.Reply {
		return revocation.Reply{Status: revocation.StatusErrorRevoking, Failure: &revocation.Failure{Code: code}}
	}
	broken := failed(revocation.CodeUpstreamUnavailable)
	broken.Hold = time.Second
	for _, test := range []struct {
		name  string
		held  revocation.Hold
		reply revocation.Reply
		want  holdChange
	}{
		{"a refused key holds the account's calls for a minute", "", failed(revocation.CodeUpstreamUnauthorized), holdChange{reason: revocation.HoldUnauthorized, length: time.Minute}},
		{"an open breaker holds them for as long as it is open", "", broken, holdChange{reason: revocation.HoldUnavailable, length: time.Second}},
		{"a single failure starts no hold", "", failed(revocation.CodeUpstreamUnavailable), holdChange{}},
		{"an answer releases a hold", revocation.HoldUnauthorized, revocation.Reply{Status: revocation.StatusRevoked}, holdChange{release: true}},
		{"so does an answer to try again later", revocation.HoldUnavailable, failed(revocation.CodeUpstreamTryLater), holdChange{release: true}},
		{"a probe that does not test the key renews its hold", revocation.HoldUnauthorized, failed(revocation.CodeUpstreamUnavailable), holdChange{reason: revocation.HoldUnauthorized, length: time.Minute}},
		{"an open breaker does not replace the hold for a refused key", revocation.HoldUnauthorized, broken, holdChange{reason: revocation.HoldUnauthorized, length: time.Minute}},
		{"a call that was not made changes nothing", revocation.HoldUnauthorized, revocation.Reply{}, holdChange{}},
		{"an item that was cancelled changes nothing", revocation.HoldUnauthorized, revocation.Reply{Status: revocation.StatusCancelled}, holdChange{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := holdAfter([]endedCall{{reply: test.reply}}, test.held); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}
