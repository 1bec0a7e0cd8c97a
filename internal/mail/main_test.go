package mail

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"rescind/internal/revocation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSender = "Example Ltd <no-reply@example.com>"

// newMessages returns Messages with a fixed date.
func newMessages(t *testing.T, templateDir string) *Messages {
	t.Helper()
	messages, err := NewMessages(testSender, "", templateDir)
	if err != nil {
		t.Fatal(err)
	}
	messages.now = func() time.Time { return time.Date(2026, 1, 15, 10, 32, 45, 0, time.UTC) }
	return messages
}

// testID returns the id of a test's n-th revocation.
func testID(n byte) revocation.ID {
	id, _ := revocation.ParseID("019b0000-0000-7000-8000-000000000000")
	id[15] = n
	return id
}

// testEmail returns an email with all details.
func testEmail(n byte) revocation.Email {
	return revocation.Email{
		Account: "acme", Revocation: testID(n), Claims: 1,
		ToName: "Ada Lovelace", ToAddress: "ada@candidates.example",
		Assessment: "Analytical Engines", Company: "Acme & Sons", Contact: "people@acme.example",
	}
}
