package batch

// Isolate calls do with items. If do fails with an error for which blame reports that a single item may be the cause, it
// calls do with each half in turn, and so on, at most splits times in all: the other items must not fail for that one.
// Isolate calls fail with what is left: items that cannot be split further and the error of do. It returns the first error
// of fail, and goes no further then.
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
