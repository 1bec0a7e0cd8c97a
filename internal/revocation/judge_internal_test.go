package revocation

import (
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	failed := func(code Code) Reply {
		return Reply{Status: StatusErrorRevoking, Failure: &Failure{Code: code}}
	}
	broken := failed(CodeUpstreamUnavailable)
	broken.Hold = time.Second
	for _, test := range []struct {
		name  string
		held  Hold
		reply Reply
		want  judgement
	}{
		{"a refused key holds the account's calls for a minute", "", failed(CodeUpstreamUnauthorized), judgement{hold: HoldUnauthorized, length: time.Minute}},
		{"an open breaker holds them for as long as it says", "", broken, judgement{hold: HoldUnavailable, length: time.Second}},
		{"a failure alone holds nothing", "", failed(CodeUpstreamUnavailable), judgement{}},
		{"an answer releases a hold", HoldUnauthorized, Reply{Status: StatusRevoked}, judgement{release: true}},
		{"so does one that says try again later", HoldUnavailable, failed(CodeUpstreamTryLater), judgement{release: true}},
		{"a probe that shows nothing of the key leaves it at a minute", HoldUnauthorized, failed(CodeUpstreamUnavailable), judgement{hold: HoldUnauthorized, length: time.Minute}},
		{"nor does an open breaker take the place of a refused key", HoldUnauthorized, broken, judgement{hold: HoldUnauthorized, length: time.Minute}},
		{"a call that was not made says nothing", HoldUnauthorized, Reply{}, judgement{}},
		{"nor does an item that was cancelled", HoldUnauthorized, Reply{Status: StatusCancelled}, judgement{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := judge([]endedCall{{reply: test.reply}}, test.held); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}
