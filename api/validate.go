package api

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gofiber/fiber/v2"

	"waggle/api/gen"
)

// mountValidation checks each request against the contract before its generated handler reads it, as the generated code does
// not: handlers need only check what the contract cannot say.
func mountValidation(api fiber.Router, spec *openapi3.T) {
	for path, item := range spec.Paths.Map() {
		for method, op := range item.Operations() {
			if slices.Contains(op.Tags, "raw") || slices.Contains(op.Tags, "hooks") {
				continue
			}
			api.Add(method, fiberPath(path), validator(slices.Concat(item.Parameters, op.Parameters), op.RequestBody))
		}
	}
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// fiberPath writes a path of the contract as Fiber does: /chats/{id} is /chats/:id.
func fiberPath(path string) string { return pathParameter.ReplaceAllString(path, ":$1") }

func validator(parameters openapi3.Parameters, body *openapi3.RequestBodyRef) fiber.Handler {
	return func(c *fiber.Ctx) error {
		var faults []gen.FieldError
		for _, p := range parameters {
			at, err := checkParameter(c, p.Value)
			if err != nil {
				return err
			}
			faults = append(faults, at...)
		}
		if body != nil {
			at, err := checkBody(c, body.Value)
			if err != nil {
				return err
			}
			faults = append(faults, at...)
		}
		if len(faults) > 0 {
			return invalid(faults...)
		}
		return c.Next()
	}
}

// checkParameter checks one parameter of the path, the query or the header. A path that cannot be an id's leads nowhere: 404.
func checkParameter(c *fiber.Ctx, p *openapi3.Parameter) ([]gen.FieldError, error) {
	switch p.In {
	case openapi3.ParameterInPath:
		if len(checkValue(p.Name, p.Schema.Value, plainValue(p.Schema.Value, c.Params(p.Name)))) > 0 {
			return nil, fail(http.StatusNotFound, "not-found", "There is nothing at this address: "+p.Name+" is not an id.")
		}
		return nil, nil
	case openapi3.ParameterInQuery:
		args := c.Context().QueryArgs()
		if !args.Has(p.Name) {
			return nil, nil
		}
		// ?waiting alone says yes; the generated code would fail on the empty value.
		if p.AllowEmptyValue && c.Query(p.Name) == "" {
			args.Set(p.Name, "true")
			c.Request().URI().SetQueryString(args.String())
		}
		return checkValue(p.Name, p.Schema.Value, plainValue(p.Schema.Value, c.Query(p.Name))), nil
	case openapi3.ParameterInHeader:
		if v := c.Get(p.Name); v != "" {
			return checkValue(p.Name, p.Schema.Value, plainValue(p.Schema.Value, v)), nil
		}
	}
	return nil, nil
}

// plainValue reads a parameter's text as the type its schema wants; what it cannot read stays text, for the schema to refuse.
func plainValue(schema *openapi3.Schema, text string) any {
	switch {
	case schema.Type.Is("integer"):
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return float64(n)
		}
	case schema.Type.Is("boolean"):
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text
}

// checkValue checks a value against its schema and names every part at fault.
func checkValue(name string, schema *openapi3.Schema, value any) []gen.FieldError {
	err := schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsRequest(), openapi3.EnableFormatValidation(),
		openapi3.WithStringFormatValidator("uuid", openapi3.NewCallbackValidator(isUUID)))
	faults := fieldErrors(name, err)
	slices.SortStableFunc(faults, func(a, b gen.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return slices.CompactFunc(faults, func(a, b gen.FieldError) bool { return a.Field == b.Field })
}
