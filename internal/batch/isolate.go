package batch

// Isolate calls do with items. If do fails and blame reports that a single item may be the cause, Isolate splits the items in
// halves and does the same with each half, so that the other items do not fail because of that one. It splits at most
// splits times in total. It calls fail with each part that failed and was not split, and with the error of do. It stops at
// the first error of fail and returns it.
func Isolate[T any](items []T, splits int, do func([]T) error, blame func(error) bool, fail func([]T, error) error) error {
	return isolate(items, &splits, do, blame, fail)
}

func isolate[T any](items []T, splits *int, do func([]T) error, blame func(error) bool, fail func([]T, error) error) error {
	err := do(items)
	switch {
	case err == nil:
		return nil
	case len(items) == 1 || *splits == 0 || !blame(err):
		return fail(items, err)
	}
	*splits--
	half := len(items) / 2
	if err := isolate(items[:half], splits, do, blame, fail); err != nil {
		return err
	}
	return isolate(items[half:], splits, do, blame, fail)
}
