package mail

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"https://evil.example":           "https: //evil. example",
		"HTTP://EVIL.EXAMPLE/x?y=z":      "HTTP: //EVIL. EXAMPLE/x?y=z",
		"www.evil.example":               "www. evil. example",
		"evil.com":                       "evil. com",
		"evil.co.uk/path":                "evil. co. uk/path",
		"a.b.co":                         "a.b. co",
		"1.2x.com":                       "1. 2x. com",
		"Ada (see evil.com)":             "Ada (see evil. com)",
		"ada@evil.example":               "ada@ evil. example",
		"mailto:ada@evil":                "mailto: ada@ evil",
		"javascript:alert(1)":            "javascript: alert(1)",
		"tel:+49301234":                  "tel: +49301234",
		`\\evil\share`:                   `\ \evil\share`,
		`file:\\\evil`:                   `file: \ \ \evil`,
		"http://192.0.2.1/x":             "http: //192.0. 2.1/x",
		"192.0.2.1":                      "192.0. 2.1",
		"evil。com":                       "evil。 com",
		"evil．com":                       "evil． com",
		"пример.рф":                      "пример. рф",
		"xn--e1afmkfd.xn--p1ai":          "xn--e1afmkfd. xn--p1ai",
		"evil.\u200bcom":                 "evil. \u200bcom",
		"evil\u200d.\u2060c\u200bom":     "evil\u200d. \u2060c\u200bom",
		"https\u200b:\u200b//evil":       "https\u200b: \u200b//evil",
		"evil.\ncom":                     "evil. com",
		"evil.c0m and evil.c-m and x.1a": "evil. c0m and evil. c-m and x. 1a",

		"Ada Lovelace":          "Ada Lovelace",
		"J. R. R. Tolkien":      "J. R. R. Tolkien",
		"J.R.R. Tolkien":        "J.R.R. Tolkien",
		"Sammy Davis Jr.":       "Sammy Davis Jr.",
		"St. John":              "St. John",
		"Acme Inc.":             "Acme Inc.",
		"Python 3.12":           "Python 3.12",
		"Go 1.26.1, part 2":     "Go 1.26.1, part 2",
		"Maths: part 1":         "Maths: part 1",
		"10:30 to 11:30":        "10:30 to 11:30",
		".NET":                  ".NET",
		"Wait...what":           "Wait...what",
		"@ home":                "@ home",
		"C:\\":                  "C: \\",
		"AC/DC":                 "AC/DC",
		"عدا \u200fلوفلايس":     "عدا \u200fلوفلايس",
		"Ada 👩🏽‍💻":              "Ada 👩🏽‍💻",
		"O’Neil-Smith, Ph.D.":   "O’Neil-Smith, Ph.D.",
		strings.Repeat("a", 99): strings.Repeat("a", 99),
	} {
		if got := cleanName(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	t.Run("it stays within its limit", func(t *testing.T) {
		if got := len([]rune(cleanName(strings.Repeat("a.bc", 1000)))); got != maxName {
			t.Errorf("%d characters", got)
		}
	})
}

// TestCleanName_anyText searches for text that programs link, in random texts of such characters. It removes invisible
// characters first.
func TestCleanName_anyText(t *testing.T) {
	linked := regexp.MustCompile(`(?i)[a-z]+://|\bwww\.\S|\S@\S|[a-z]:\S|[\pL\pN_-][.。．｡][\pL\pN_-]*\pL[\pL_-]|\\\\|\b\d+\.\d+\.\d+\.\d+\b`)
	text := rapid.StringOf(rapid.SampledFrom([]rune("abwwwcom12.。．｡:/@\\ -_я\u200b\u2060")))
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "name")
		got := cleanName(s)
		seen := strings.NewReplacer("\u200b", "", "\u2060", "").Replace(got)
		if found := linked.FindString(seen); found != "" {
			t.Errorf("%q became %q, in which %q is linked", s, got, found)
		}
		if again := cleanName(got); again != got {
			t.Errorf("%q became %q and then %q", s, got, again)
		}
		if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(oneLine(s), " ", "") && len([]rune(got)) < maxName {
			t.Errorf("%q lost something: %q", s, got)
		}
	})
}

// TestMessages_Links checks both texts, the subject and the names in the header.
func TestMessages_Links(t *testing.T) {
	email := testEmail(1)
	email.ToName, email.Assessment, email.Company = "https://evil.example/a", "www.evil.example", "evil@evil.example"
	p := parse(t, compose(t, newMessages(t, ""), email).data)
	for _, text := range []string{p.text, p.html, p.subject(t), p.address(t, "To").Name, p.address(t, "Reply-To").Name} {
		if strings.Contains(text, "evil.example") || strings.Contains(text, "https://") || strings.Contains(text, "www.evil") || strings.Contains(text, "@evil") {
			t.Errorf("it has a link: %s", text)
		}
	}
	for _, text := range []string{p.text, p.html} {
		for _, want := range []string{"https: //evil. example/a", "www. evil. example", "evil@ evil. example"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in %s", want, text)
			}
		}
	}
}
