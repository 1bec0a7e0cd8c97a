package postgres

import "testing"

func TestLookups(t *testing.T) {
	t.Run("a crowd that is stuck does not hold up the next", func(t *testing.T) {
		var ls lookups
		stuck, other := new(lookup), new(lookup)
		if !ls.add(stuck) || len(ls.next()) != 1 {
			t.Fatal("the first does not look up")
		}
		if ls.add(other) {
			t.Fatal("the next does not wait")
		}
		if !ls.late() {
			t.Fatal("who has waited for long does not look up")
		}
		if crowd := ls.next(); len(crowd) != 1 || crowd[0] != other {
			t.Fatalf("it looks up %v", crowd)
		}
		if ls.late() {
			t.Error("somebody looks up though nobody waits")
		}
	})
	t.Run("no more than a few look up at once", func(t *testing.T) {
		var ls lookups
		ls.add(new(lookup))
		for range maxLookups {
			ls.next()
			ls.add(new(lookup))
			ls.late()
		}
		if ls.late() {
			t.Errorf("%d look up", ls.underWay)
		}
	})
}
