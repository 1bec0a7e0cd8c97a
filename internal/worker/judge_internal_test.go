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
		{"an open breaker holds them for as long as it says", "", broken, judgement{hold: revocation.HoldUnavailable, length: time.Second}},
		{"a failure alone holds nothing", "", failed(revocation.CodeUpstreamUnavailable), judgement{}},
		{"an answer releases a hold", revocation.HoldUnauthorized, revocation.Reply{Status: revocation.StatusRevoked}, judgement{release: true}},
		{"so does one that says try again later", revocation.HoldUnavailable, failed(revocation.CodeUpstreamTryLater), judgement{release: true}},
		{"a probe that shows nothing of the key leaves it at a minute", revocation.HoldUnauthorized, failed(revocation.CodeUpstreamUnavailable), judgement{hold: revocation.HoldUnauthorized, length: time.Minute}},
		{"nor does an open breaker take the place of a refused key", revocation.HoldUnauthorized, broken, judgement{hold: revocation.HoldUnauthorized, length: time.Minute}},
		{"a call that was not made says nothing", revocation.HoldUnauthorized, revocation.Reply{}, judgement{}},
		{"nor does an item that was cancelled", revocation.HoldUnauthorized, revocation.Reply{Status: revocation.StatusCancelled}, judgement{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := judge([]endedCall{{reply: test.reply}}, test.held); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}
