package api

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"waggle/api/gen"
)

var errNotUUID = errors.New("not a UUID")

// isUUID takes the one form people write ids in; uuid.Parse takes braces and urn: too.
func isUUID(s string) error {
	if _, err := uuid.Parse(s); err != nil || len(s) != 36 {
		return errNotUUID
	}
	return nil
}

// fieldErrors flattens what the schema found into fields and reasons. at is where the checked value stands.
func fieldErrors(at string, err error) []gen.FieldError {
	// Not errors.As: a list of faults is also its first one, and a fault of a choice also the list of its branches'.
	switch e := err.(type) { //nolint:errorlint // see above
	case nil:
		return nil
	case openapi3.MultiError:
		var faults []gen.FieldError
		for _, one := range e {
			faults = append(faults, fieldErrors(at, one)...)
		}
		return faults
	case *openapi3.SchemaError:
		return schemaFault(at, e)
	default:
		return []gen.FieldError{field(orBody(at), "is not valid")}
	}
}

func schemaFault(at string, e *openapi3.SchemaError) []gen.FieldError {
	for _, step := range e.JSONPointer() {
		at = within(at, step)
	}
	if e.SchemaField == "properties" {
		return []gen.FieldError{field(orBody(within(at, unknownProperty(e))), "is not a field of this request")}
	}
	return []gen.FieldError{field(orBody(at), reason(e))}
}

// orBody names the whole body where the fault is not in any of its fields.
func orBody(at string) string {
	if at == "" {
		return "body"
	}
	return at
}

// unknownProperty is the name the validator quotes in its reason: property "x" is unsupported.
func unknownProperty(e *openapi3.SchemaError) string {
	quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(e.Reason, "property "))
	if err != nil {
		return ""
	}
	name, err := strconv.Unquote(quoted)
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(name, "")
}

// reason says in a sentence why a value does not fit, without repeating the value.
func reason(e *openapi3.SchemaError) string {
	s := e.Schema
	switch e.SchemaField {
	case "required":
		return "is required"
	case "type", "nullable":
		return "must be " + typeName(s)
	case "enum":
		return "must be one of " + choices(s.Enum)
	case "format":
		return "must be " + formatName(s.Format)
	case "pattern":
		return "does not have the right form"
	case "minLength":
		if s.MinLength == 1 {
			return "must not be empty"
		}
		return fmt.Sprintf("must have at least %d characters", s.MinLength)
	case "maxLength":
		return fmt.Sprintf("must have at most %d characters", *s.MaxLength)
	case "minimum":
		return fmt.Sprintf("must be at least %v", *s.Min)
	case "maximum":
		return fmt.Sprintf("must be at most %v", *s.Max)
	case "minItems":
		return fmt.Sprintf("must have at least %d items", s.MinItems)
	case "maxItems":
		return fmt.Sprintf("must have at most %d items", *s.MaxItems)
	case "uniqueItems":
		return "must not have an item twice"
	case "minProperties":
		return "must name at least one field"
	default:
		return "is not valid"
	}
}

func typeName(s *openapi3.Schema) string {
	if s.Type == nil {
		return "of another type"
	}
	names := map[string]string{
		"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list", "object": "an object",
	}
	for _, t := range s.Type.Slice() {
		if name, ok := names[t]; ok {
			return name
		}
	}
	return "of another type"
}

func formatName(format string) string {
	switch format {
	case "uuid":
		return "an id (UUID)"
	case "date-time":
		return "a time such as 2026-01-31T12:00:00Z"
	default:
		return "a valid " + format
	}
}

func choices(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}
