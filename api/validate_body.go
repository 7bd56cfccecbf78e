package api

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gofiber/fiber/v2"

	"waggle/api/gen"
)

const (
	maxDepth  = 32      // of nested objects and arrays; the contract has no body deeper than 5
	maxNumber = 1 << 53 // beyond it JSON numbers lose their last digits
)

// checkBody checks a JSON body against the contract. A body that cannot be read is an error of its own; otherwise every field at
// fault is named. The body goes on in one normal form (5.0 is 5), marked as JSON, which curl -d does not do.
func checkBody(c *fiber.Ctx, body *openapi3.RequestBody) ([]gen.FieldError, error) {
	raw := bytes.TrimSpace(c.BodyRaw())
	if !isJSON(c.Get(fiber.HeaderContentType), raw) {
		return nil, fail(http.StatusUnsupportedMediaType, "not-json", "Send the body as application/json.")
	}
	c.Request().Header.SetContentType(fiber.MIMEApplicationJSON)
	if len(raw) == 0 {
		c.Request().SetBody(nil)
		if body.Required {
			return nil, unreadable("The request needs a JSON body.")
		}
		return nil, nil
	}
	value, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if faults := unstorable("", value); len(faults) > 0 {
		return faults, nil
	}
	if faults := checkValue("", body.Content.Get("application/json").Schema.Value, value); len(faults) > 0 {
		return faults, nil
	}
	normal, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	c.Request().SetBody(normal)
	return nil, nil
}

func unreadable(detail string) *problem {
	return fail(http.StatusBadRequest, "unreadable-body", detail)
}

// isJSON reports whether the body may be JSON. A bare curl -d marks it as a form.
func isJSON(contentType string, body []byte) bool {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	kind = strings.TrimSpace(kind)
	switch {
	case kind == "", kind == fiber.MIMEApplicationJSON, strings.HasSuffix(kind, "+json"), len(body) == 0:
		return true
	default:
		return kind == fiber.MIMEApplicationForm && (body[0] == '{' || body[0] == '[')
	}
}

// parse reads one JSON value and refuses what is broken, too deep or not UTF-8.
func parse(raw []byte) (any, error) {
	if !utf8.Valid(raw) {
		return nil, unreadable("The body is not valid UTF-8.")
	}
	if depth(raw) > maxDepth {
		return nil, unreadable("The body is nested deeper than " + strconv.Itoa(maxDepth) + " levels.")
	}
	var value any
	if err := decodeStrictly(raw, &value); err != nil {
		return nil, unreadable("The body is not one valid JSON value.").because(err)
	}
	return value, nil
}

// depth is how deep objects and arrays nest, found without building them.
func depth(raw []byte) int {
	deepest, now := 0, 0
	inString, escaped := false, false
	for _, b := range raw {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = b == '\\', b != '"'
		case b == '"':
			inString = true
		case b == '{', b == '[':
			now++
			deepest = max(deepest, now)
		case b == '}', b == ']':
			now--
		}
	}
	return deepest
}

// unstorable finds what no schema forbids and no database takes: NUL in a text, numbers that lost digits.
func unstorable(at string, value any) []gen.FieldError {
	var faults []gen.FieldError
	switch v := value.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			faults = append(faults, field(at, "must not contain the character NUL"))
		}
	case float64:
		if math.Abs(v) > maxNumber {
			faults = append(faults, field(at, "is too large"))
		}
	case []any:
		for i, e := range v {
			faults = append(faults, unstorable(within(at, strconv.Itoa(i)), e)...)
		}
	case map[string]any:
		for name, e := range v {
			if strings.ContainsRune(name, 0) {
				faults = append(faults, field(within(at, strings.ReplaceAll(name, "\x00", "")), "has the character NUL in its name"))
			}
			faults = append(faults, unstorable(within(at, name), e)...)
		}
	}
	return faults
}

// within names a field inside another, with a dot.
func within(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
