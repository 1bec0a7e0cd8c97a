package api

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rescind/internal/revocation"
)

// Responses are structs whose names end with Body. Their JSON and their schemas come from the same fields and tags. Only a
// revocation and an item of a job are written by hand, because both are written by the thousand.

// bodyOptions write map entries in the order of their names, invalid UTF-8 as U+FFFD, and JSON that is written already as it
// is.
var bodyOptions = json.JoinOptions(
	json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true), jsontext.PreserveRawStrings(true),
)

// jsonOf returns the JSON of a response. It escapes only what JSON requires: browsers do not interpret a response as HTML,
// because of its type and nosniff.
func jsonOf(body any) []byte {
	b, err := json.Marshal(body, bodyOptions)
	if err != nil {
		panic(fmt.Errorf("write %T: %w", body, err)) // every value of these types can be written
	}
	return b
}

// schemaPrefix is before the name of a schema in a reference to it.
const schemaPrefix = "#/components/schemas/"

// schemaOf returns a reference to the schema of a response, which it adds to the document with this description.
func schemaOf[Body any](schemas huma.Registry, description string) *huma.Schema {
	ref := schemas.Schema(reflect.TypeFor[Body](), true, "")
	schemas.SchemaFromRef(ref.Ref).Description = description
	return ref
}

// schemaName returns the name of a type's schema: Job for jobBody, JobPage for pageBody[jobBody].
func schemaName(t reflect.Type, hint string) string {
	name := strings.ReplaceAll(huma.DefaultSchemaNamer(t, hint), "Body", "")
	if entry, ok := strings.CutPrefix(name, "Page"); ok {
		return entry + "Page"
	}
	return name
}

// pageBody is a page of a list.
type pageBody[Entry any] struct {
	Data       []Entry `json:"data" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"The cursor of the next page. Only null is the end of the list."`
}

// pageOf returns a page with the entries. next is the cursor of the next page, or empty.
func pageOf[T, Entry any](entries []T, entryOf func(*T) Entry, next string) pageBody[Entry] {
	return pageBody[Entry]{Data: bodiesOf(entries, entryOf), NextCursor: filled(&next)}
}

func bodiesOf[T, Entry any](entries []T, entryOf func(*T) Entry) []Entry {
	bodies := make([]Entry, len(entries))
	for i := range entries {
		bodies[i] = entryOf(&entries[i])
	}
	return bodies
}

// timeOf returns a time in RFC 3339 format. It is in UTC and always has milliseconds, so that times sort as text.
func timeOf(t time.Time) string {
	var b [32]byte
	return string(appendUTC(b[:0], t))
}

// optionalTime returns timeOf(t), or nil for the zero time.
func optionalTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(timeOf(t))
}

// optionalID returns an id in its canonical form, or nil for the zero id.
func optionalID(id revocation.ID) *string {
	if id.IsZero() {
		return nil
	}
	return new(id.String())
}

// filled returns s, or nil if the string is empty.
func filled(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}
