package api

import (
	"errors"

	"waggle/store"
)

// defaultLimit is how many items a page has where the caller does not say.
const defaultLimit = 50

// pageOf is the page a list request asks for.
func pageOf(limit *int, cursor *string) store.Page {
	return store.Page{Limit: valueOr(limit, defaultLimit), Cursor: valueOr(cursor, "")}
}

// listProblem turns a list's errors into problems: a cursor that no answer gave is a 422.
func listProblem(err error, what string) error {
	if errors.Is(err, store.ErrCursor) {
		return invalid(field("cursor", "is not one that an answer gave"))
	}
	return storeProblem(err, what)
}

// orNull is a text as answers show it: null where it is empty.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
