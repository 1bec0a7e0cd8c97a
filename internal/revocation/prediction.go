package revocation

import (
	"slices"
	"time"
)

// StatusUnknown is the predicted outcome of an item that an upstream will decide about. It is never the status of a
// revocation.
const StatusUnknown Status = "UNKNOWN"

// Prediction is a predicted outcome as the stores keep it, in one byte for each item.
type Prediction byte

const (
	// PredictedNothing: the item has no prediction.
	PredictedNothing Prediction = iota
	PredictedRevoked
	PredictedAlreadyRevoked
	PredictedNotAllowed
	PredictedNotFound
	PredictedAlreadyStarted
	// PredictedUnknown: an upstream will decide.
	PredictedUnknown
	// PredictedDuplicate: an earlier item of the job is about the same invite and predicted REVOKED, so this one is shown
	// as ALREADY_REVOKED. It ends like that item unless that one ends as REVOKED.
	PredictedDuplicate
)

var predictedStatuses = [...]Status{
	"", StatusRevoked, StatusAlreadyRevoked, StatusNotAllowed, StatusNotFound, StatusAlreadyStarted, StatusUnknown,
	StatusAlreadyRevoked,
}

// PredictedStatuses lists the predicted outcomes that callers see. StatusInvalid is that of an item that cannot be read,
// which has no Prediction.
var PredictedStatuses = []Status{
	StatusRevoked, StatusAlreadyRevoked, StatusNotAllowed, StatusNotFound, StatusAlreadyStarted, StatusInvalid, StatusUnknown,
}

// Status returns the predicted outcome as callers see it; empty for PredictedNothing.
func (p Prediction) Status() Status { return predictedStatuses[p] }

// CarriedOut reports whether a confirmed job carries the item out. All others end with their predicted status.
func (p Prediction) CarriedOut() bool {
	return p == PredictedNothing || p == PredictedRevoked || p == PredictedUnknown
}

// PredictionOf returns the prediction for an outcome of Rule, and for StatusNotFound and StatusUnknown.
func PredictionOf(status Status) Prediction {
	return Prediction(slices.Index(predictedStatuses[:], status)) //nolint:gosec // a few
}

// invalidRow is what a store shows as the prediction of an INVALID row, which has none.
const invalidRow = -1

// ShownPrediction returns the predicted outcome that callers see for what a store shows: a Prediction, or -1 for an INVALID
// row of a job with a preview.
func ShownPrediction(shown int) Status {
	if shown == invalidRow {
		return StatusInvalid
	}
	return Prediction(shown).Status() //nolint:gosec // one byte
}

// ShownPredictions returns all that ShownPrediction shows as one of the statuses.
func ShownPredictions(statuses []Status) []int {
	shown := []int{}
	for p := invalidRow; p < len(predictedStatuses); p++ {
		if status := ShownPrediction(p); status != "" && slices.Contains(statuses, status) {
			shown = append(shown, p)
		}
	}
	return shown
}

// PreviewPart is the number of items among which one step of a preview finds duplicates, about.
const PreviewPart = 1_000_000

// PredictItems returns the predictions of the items of a chunk, which must be in the order of their rows. earlier reports
// whether an item of an earlier chunk has the same invite and is predicted REVOKED. Package sqlite uses it. Package postgres
// has a statement instead; the conformance suite checks that both lead to the same predictions.
func PredictItems(work []LockedRevocation, earlier func(i int) bool) []Prediction {
	revoked := make(map[int64]bool)
	predictions := make([]Prediction, len(work))
	for i := range work {
		h := &work[i]
		predictions[i] = PredictedNotFound
		if h.Invite != nil {
			predictions[i] = PredictionOf(Rule(*h.Invite, h.AccountState))
		}
		if predictions[i] == PredictedRevoked {
			if revoked[h.ReportID] || earlier(i) {
				predictions[i] = PredictedDuplicate
			}
			revoked[h.ReportID] = true
		}
	}
	return predictions
}

// Add counts n items with a prediction.
func (c *PredictedCounts) Add(p Prediction, n int) {
	switch p {
	case PredictedRevoked:
		c.Revoked += n
	case PredictedAlreadyRevoked, PredictedDuplicate:
		c.AlreadyRevoked += n
	case PredictedNotAllowed:
		c.NotAllowed += n
	case PredictedNotFound:
		c.NotFound += n
	case PredictedAlreadyStarted:
		c.AlreadyStarted += n
	case PredictedUnknown:
		c.Unknown += n
	}
}

// Preview is what a job would do. While it is being made, PredictedAt is zero, and the numbers are not meant for callers.
type Preview struct {
	// Predicted counts the items by their predicted outcome, INVALID ones too. Unknown counts those that an upstream
	// decides about.
	Predicted PredictedCounts
	// Emails is the most that can be sent; nil if an upstream sends them.
	Emails *int
	// PredictedAt is when the preview was complete; zero before.
	PredictedAt time.Time
}

// PredictedCounts counts items by their predicted outcome.
type PredictedCounts struct {
	Revoked, AlreadyRevoked, NotAllowed, NotFound, AlreadyStarted, Invalid, Unknown int
}

// Sum returns the number of items that were counted.
func (c *PredictedCounts) Sum() int {
	return c.Revoked + c.AlreadyRevoked + c.NotAllowed + c.NotFound + c.AlreadyStarted + c.Invalid + c.Unknown
}

// Confirmable returns the number that a confirmation must name: how many items can be revoked at most.
func (c *PredictedCounts) Confirmable() int { return c.Revoked + c.Unknown }
