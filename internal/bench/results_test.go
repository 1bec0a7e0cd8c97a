package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func sample() *results {
	var r results
	for _, round := range []struct{ ours, floor float64 }{{28_000, 30_000}, {27_000, 25_000}, {31_000, 32_000}} {
		r.table("accepted", "Accepted").add(rescind, perSecond, round.ours)
		r.table("accepted", "").add(bareFloor, perSecond, round.floor)
	}
	r.table("accepted", "").add(rescind, p99, 4.256)
	return &r
}

func TestResults(t *testing.T) {
	t.Run("a table shows the median and the spread, and omits what was not measured", func(t *testing.T) {
		want := `### Accepted

|  | a second | p99, ms |
| --- | ---: | ---: |
| rescind | 28,000 (27,000 to 31,000) | 4.26 |
| echo, asynq: no database | 30,000 (25,000 to 32,000) |  |
`
		if got := sample().markdown("a machine."); !strings.HasSuffix(got, want) {
			t.Errorf("got\n%s\nwant at its end\n%s", got, want)
		}
	})
	t.Run("a ratio is that of rounds, not of medians", func(t *testing.T) {
		goals := sample().goals()
		if len(goals) != 1 {
			t.Fatalf("%d goals: only one was measured", len(goals))
		}
		want := goal{"accepted submissions, times asynq without a database", "at least 1", "0.97 (0.93 to 1.08)", "no, by 3 %"}
		if goals[0] != want {
			t.Errorf("got %+v, want %+v", goals[0], want)
		}
	})
	t.Run("a reached goal is reported as reached", func(t *testing.T) {
		var r results
		r.table("latency", "").add(rescind, p50, 3)
		if goals := r.goals(); len(goals) != 1 || goals[0].reached != "yes" {
			t.Errorf("got %+v", goals)
		}
	})
}

func TestPlot(t *testing.T) {
	t.Run("it is well-formed, with a bar and a whisker for each", func(t *testing.T) {
		r := sample()
		r.table("accepted", "").add("R & D <lab>", perSecond, 1)
		bars, whiskers := 0, 0
		for decoder := xml.NewDecoder(strings.NewReader(r.plot())); ; {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if start, begins := token.(xml.StartElement); begins {
				switch start.Name.Local {
				case "rect":
					bars++
				case "path":
					whiskers++
				}
			}
		}
		if bars != 1+3 || whiskers != 2 { // the background is one, and a single value has no spread
			t.Errorf("%d rectangles and %d whiskers", bars, whiskers)
		}
	})
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 0.333: "0.33", 2: "2", 9.876: "9.88", 12.34: "12.3", 123.4: "123", 1234.5: "1,235", 1_234_567: "1,234,567", -1234: "-1,234",
	} {
		if got := number(value); got != want {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
}
