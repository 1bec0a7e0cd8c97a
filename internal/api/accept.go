package api

import "strings"

// mediaRange is one entry of an Accept header.
type mediaRange struct {
	kind, subtype string // in lower case, or *
	// weight is q in thousandths.
	weight int
}

// negotiate gives the one of offers that the Accept headers of a request like best (RFC 9110, 12.5.1); of
// several, the one that is named more exactly, then the one that is named first, then the first. When none is
// acceptable, or there are no headers, it is the first as well. What cannot be read of a header is passed
// over, and so are parameters of media types.
func negotiate(accept, offers []string) string {
	ranges := acceptedRanges(accept)
	best := offers[0]
	var most, exactest, first int
	for _, offer := range offers {
		weight, exactness, at := weigh(ranges, offer)
		if weight > most || weight > 0 && weight == most &&
			(exactness > exactest || exactness == exactest && at < first) {
			best, most, exactest, first = offer, weight, exactness, at
		}
	}
	return best
}

// weigh finds the range that names the offer most exactly, which alone counts, and where it stands.
func weigh(ranges []mediaRange, offer string) (weight, exactness, at int) {
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
			weight, exactness, at = r.weight, exact, i
		}
	}
	return weight, exactness, at
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

// weightOf reads q among the parameters of a range; ok is false for one that is no weight.
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

// parseWeight reads 0 to 1 with at most three digits after the point, in thousandths.
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
