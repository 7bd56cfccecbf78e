package api

import (
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
)

// valueOr is an optional value or its default.
func valueOr[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

// idOf is an optional id; the zero UUID where there is none.
func idOf(id *uuid.UUID) uuid.UUID { return valueOr(id, uuid.Nil) }

// idOrNull is an id as answers show it: null where there is none.
func idOrNull(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// orZero is the value of a clearable property; the zero value where it was cleared.
func orZero[T any](n nullable.Nullable[T]) T {
	v, _ := n.Get()
	return v
}

// valueOrNil is the value of a clearable property; nil where it was cleared.
func valueOrNil[T any](n nullable.Nullable[T]) *T {
	v, err := n.Get()
	if err != nil {
		return nil
	}
	return &v
}
