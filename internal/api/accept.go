package api

import "strings"

// mediaRange is one entry of an Accept header.
type mediaRange struct {
	kind, subtype string // in lower case, or *
	// weight is q in thousandths.
	weight int
}

// negotiate returns the offer that the Accept headers of a request prefer (RFC 9110, section 12.5.1). Among offers of
// equal weight it prefers the most specific match, then the range that is named first, then the earlier offer. It
// returns the first offer if no offer is acceptable or there are no headers. It ignores parameters of media types and
// the parts of a header that it cannot parse.
//
// The libraries for this do less than the RFC asks or callers need: goautoneg takes a weight of 0 for acceptable, and
// elnormous/contenttype refuses a header with one part that it cannot parse, and text/csv with a charset.
func negotiate(accept, offers []string) string {
	ranges := acceptedRanges(accept)
	best := offers[0]
	var bestWeight, bestExactness, bestPosition int
	for _, offer := range offers {
		weight, exactness, position := weigh(ranges, offer)
		if weight > bestWeight || weight > 0 && weight == bestWeight &&
			(exactness > bestExactness || exactness == bestExactness && position < bestPosition) {
			best, bestWeight, bestExactness, bestPosition = offer, weight, exactness, position
		}
	}
	return best
}

// weigh returns the weight, the exactness and the index of the range that matches the offer most exactly. The other
// ranges do not count. The exactness is 0 if no range matches.
func weigh(ranges []mediaRange, offer string) (weight, exactness, position int) {
	kind, subtype, _ := strings.Cut(offer, "/")
	for i, r := range ranges {
		exact := 0
		switch {
		case r.kind == kind && r.subtype == subtype:
			exact = 3
		case r.kind == kind && r.subtype == "*":
			exact = 2
		case r.kind == "*" && r.subtype == "*":
			exact = 1
		}
		if exact > exactness {
			weight, exactness, position = r.weight, exact, i
		}
	}
	return weight, exactness, position
}

func acceptedRanges(accept []string) (ranges []mediaRange) {
	for _, header := range accept {
		for header != "" {
			var one string
			one, header = cutUnquoted(header, ',')
			media, params := cutUnquoted(one, ';')
			kind, subtype, ok := strings.Cut(strings.ToLower(strings.TrimSpace(media)), "/")
			weight, weighed := weightOf(params)
			if ok && weighed {
				ranges = append(ranges, mediaRange{kind, subtype, weight})
			}
		}
	}
	return ranges
}

// weightOf returns the parameter q of a range in thousandths, by default 1000; ok is false if q is not a weight.
func weightOf(params string) (thousandths int, ok bool) {
	for params != "" {
		var one string
		one, params = cutUnquoted(params, ';')
		name, value, _ := strings.Cut(one, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			return parseWeight(strings.TrimSpace(value))
		}
	}
	return 1000, true
}

// parseWeight parses a number from 0 to 1 with at most three decimals, and returns it in thousandths.
func parseWeight(s string) (thousandths int, ok bool) {
	whole, digits, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(digits) > 3 {
		return 0, false
	}
	for _, c := range []byte(whole + digits + "000"[len(digits):]) {
		if !isDigit(c) {
			return 0, false
		}
		thousandths = thousandths*10 + int(c-'0')
	}
	return thousandths, thousandths <= 1000
}
