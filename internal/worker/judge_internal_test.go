package worker

import (
	"testing"
	"time"

	"rescind/internal/revocation"
)

func TestJudge(t *testing.T) {
	failed := func(code revocation.Code) revocation.Reply {
		return revocation.Reply{Status: revocation.StatusErrorRevoking, Failure: &revocation.Failure{Code: code}}
	}
	broken := failed(revocation.CodeUpstreamUnavailable)
	broken.Hold = time.Second
	for _, test := range []struct {
		name  string
		held  revocation.Hold
		reply revocation.Reply
		want  judgement
	}{
		{"a refused key holds the account's calls for a minute", "", failed(revocation.CodeUpstreamUnauthorized), judgement{hold: revocation.HoldUnauthorized, length: time.Minute}},
		{"an open breaker holds them for as long as it is open", "", broken, judgement{hold: revocation.HoldUnavailable, length: time.Second}},
		{"a single failure starts no hold", "", failed(revocation.CodeUpstreamUnavailable), judgement{}},
		{"an answer releases a hold", revocation.HoldUnauthorized, revocation.Reply{Status: revocation.StatusRevoked}, judgement{release: true}},
		{"so does an answer to try again later", revocation.HoldUnavailable, failed(revocation.CodeUpstreamTryLater), judgement{release: true}},
		{"a probe that does not test the key renews its hold", revocation.HoldUnauthorized, failed(revocation.CodeUpstreamUnavailable), judgement{hold: revocation.HoldUnauthorized, length: time.Minute}},
		{"an open breaker does not replace the hold for a refused key", revocation.HoldUnauthorized, broken, judgement{hold: revocation.HoldUnauthorized, length: time.Minute}},
		{"a call that was not made changes nothing", revocation.HoldUnauthorized, revocation.Reply{}, judgement{}},
		{"an item that was cancelled changes nothing", revocation.HoldUnauthorized, revocation.Reply{Status: revocation.StatusCancelled}, judgement{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := judge([]endedCall{{reply: test.reply}}, test.held); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}
