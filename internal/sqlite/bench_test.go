package sqlite_test

import (
	"testing"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
)

const batch = 256

// BenchmarkSubmit writes flushes of 256 new revocations.
func BenchmarkSubmit(b *testing.B) {
	store := open(b, file(b))
	seed(b, store, 1, batch)
	for b.Loop() {
		refs := submit(b, store, 1, batch)
		b.StopTimer()
		carryOut(b, store, refs)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "revocations/s")
}

// BenchmarkCarryOut revokes batches of 256 invites, each with its email.
func BenchmarkCarryOut(b *testing.B) {
	store := open(b, file(b))
	for first := 1; b.Loop(); first += batch {
		b.StopTimer()
		seed(b, store, first, batch)
		refs := submit(b, store, first, batch)
		b.StartTimer()
		carryOut(b, store, refs)
	}
	b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "revocations/s")
}

// BenchmarkAddItems writes batches of items of an upload.
func BenchmarkAddItems(b *testing.B) {
	store := open(b, file(b))
	final := begin(b, store)
	for b.Loop() {
		add(b, store, &final, 1, revocation.ChunkSize)
	}
	b.ReportMetric(float64(b.N)*revocation.ChunkSize/b.Elapsed().Seconds(), "items/s")
}

// BenchmarkCarryOutChunk revokes chunks of a job, each item with its email.
func BenchmarkCarryOutChunk(b *testing.B) {
	store := open(b, file(b))
	for first := 1; b.Loop(); first += revocation.ChunkSize {
		b.StopTimer()
		seed(b, store, first, revocation.ChunkSize)
		job := bulk(b, store, first, revocation.ChunkSize)
		b.StartTimer()
		chunk, err := store.CarryOutChunk(b.Context(), "acme")
		if err != nil || chunk.Job != job.ID || chunk.Done.Counts.Revoked != revocation.ChunkSize {
			b.Fatalf("%+v: %v", chunk, err)
		}
	}
	b.ReportMetric(float64(b.N)*revocation.ChunkSize/b.Elapsed().Seconds(), "items/s")
}

func carryOut(b *testing.B, store *sqlite.Store, refs []revocation.Ref) {
	b.Helper()
	done, err := store.CarryOut(b.Context(), refs, revocation.Decide)
	if err != nil || len(done.Decisions) != len(refs) {
		b.Fatalf("%d decisions: %v", len(done.Decisions), err)
	}
}
