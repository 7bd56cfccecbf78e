package api

import (
	"encoding/json"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// exampleDepth ends examples of schemas that hold themselves.
const exampleDepth = 6

type docsView struct {
	Title       string
	Description string
	Style       template.CSS
	Sections    []docsSection
}

type docsSection struct {
	Name        string
	Description string
	Operations  []docsOperation
}

type docsOperation struct {
	ID          string
	Method      string
	Path        string
	Summary     string
	Description string
	Fields      []docsField // parameters, then the body's properties
	Answers     []docsAnswer
	Curl        string
}

type docsField struct {
	Name        string
	In          string
	Caption     string
	Type        string
	Required    bool
	Deprecated  bool
	Description string
}

type docsAnswer struct {
	Status      string
	Description string
	Fields      []docsField
}

// docsSections groups the operations as the contract's tags do, in the order of the paths.
func docsSections(spec *openapi3.T, publicURL string) []docsSection {
	var sections []docsSection
	for _, tag := range spec.Tags {
		section := docsSection{Name: tag.Name, Description: tag.Description}
		for _, path := range slices.Sorted(maps.Keys(spec.Paths.Map())) {
			item := spec.Paths.Value(path)
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
				if op := item.Operations()[method]; op != nil && slices.Contains(op.Tags, tag.Name) {
					section.Operations = append(section.Operations, docsOf(item, op, method, path, publicURL))
				}
			}
		}
		sections = append(sections, section)
	}
	return sections
}

func docsOf(item *openapi3.PathItem, op *openapi3.Operation, method, path, publicURL string) docsOperation {
	if len(item.Servers) == 0 {
		path = base + path
	}
	out := docsOperation{
		ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: op.Description, Curl: curl(op, method, publicURL+path),
	}
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		f := docsFieldOf(p.Value.Name, p.Value.Schema.Value, p.Value.Required)
		f.In, f.Description = p.Value.In, p.Value.Description
		out.Fields = append(out.Fields, f)
	}
	if schema := jsonSchema(op.RequestBody); schema != nil {
		out.Fields = append(out.Fields, properties(schema, "body")...)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses.Map())) {
		if r := op.Responses.Value(status).Value; status != "default" {
			out.Answers = append(out.Answers, docsAnswerOf(status, r))
		}
	}
	return out
}

func docsAnswerOf(status string, r *openapi3.Response) docsAnswer {
	a := docsAnswer{Status: status}
	if r.Description != nil {
		a.Description = *r.Description
	}
	if content := r.Content.Get("application/json"); content != nil && content.Schema != nil {
		a.Fields = properties(content.Schema.Value, "answer")
	}
	return a
}

func jsonSchema(body *openapi3.RequestBodyRef) *openapi3.Schema {
	if body == nil {
		return nil
	}
	content := body.Value.Content["application/json"]
	if content == nil || content.Schema == nil {
		return nil
	}
	return content.Schema.Value
}

func properties(schema *openapi3.Schema, in string) []docsField {
	var fields []docsField
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		f := docsFieldOf(name, schema.Properties[name].Value, slices.Contains(schema.Required, name))
		f.In = in
		fields = append(fields, f)
	}
	return fields
}

func docsFieldOf(name string, s *openapi3.Schema, required bool) docsField {
	return docsField{Name: name, Caption: s.Title, Type: docsType(s), Required: required, Deprecated: s.Deprecated, Description: s.Description}
}

func docsType(s *openapi3.Schema) string {
	t := "object"
	if s.Type != nil && len(s.Type.Slice()) > 0 {
		t = s.Type.Slice()[0]
	}
	switch {
	case len(s.Enum) > 0:
		return choices(s.Enum)
	case t == "array" && s.Items != nil:
		return "list of " + docsType(s.Items.Value)
	case s.Format != "":
		return t + " (" + s.Format + ")"
	default:
		return t
	}
}

// curl is an example call with the smallest body the contract takes.
func curl(op *openapi3.Operation, method, url string) string {
	parts := []string{"curl"}
	if method != "GET" {
		parts = append(parts, "-X "+method)
	}
	parts = append(parts, "'"+url+"'")
	if op.Security == nil || len(*op.Security) > 0 {
		parts = append(parts, `-H "Authorization: Bearer $WAGGLE_KEY"`)
	}
	if schema := jsonSchema(op.RequestBody); schema != nil {
		body, err := json.Marshal(example(schema, 0))
		if err == nil {
			parts = append(parts, "-H 'Content-Type: application/json'", "-d '"+strings.ReplaceAll(string(body), "'", `'\''`)+"'")
		}
	}
	return strings.Join(parts, " \\\n  ")
}

// example is a small value the schema takes: its example, default or first choice, or one made of its required properties.
func example(s *openapi3.Schema, depth int) any {
	switch {
	case s.Example != nil:
		return s.Example
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == nil || depth > exampleDepth:
		return map[string]any{}
	case s.Type.Is("object"):
		return objectExample(s, depth)
	default:
		return plainExample(s, depth)
	}
}

// objectExample has the required properties or, where only some property is wanted, the first one.
func objectExample(s *openapi3.Schema, depth int) any {
	names := s.Required
	if len(names) == 0 && s.MinProps > 0 {
		names = slices.Sorted(maps.Keys(s.Properties))[:1]
	}
	out := map[string]any{}
	for _, name := range names {
		if p := s.Properties[name]; p != nil {
			out[name] = example(p.Value, depth+1)
		}
	}
	return out
}

func plainExample(s *openapi3.Schema, depth int) any {
	switch {
	case s.Type.Is("array"):
		return []any{example(s.Items.Value, depth+1)}
	case s.Type.Is("boolean"):
		return true
	case s.Type.Is("integer"), s.Type.Is("number"):
		if s.Min != nil {
			return *s.Min
		}
		return 1
	case s.Format == "uuid":
		return "01930000-0000-7000-8000-000000000000"
	case s.Format == "date-time":
		return "2026-01-31T12:00:00Z"
	default:
		return strings.Repeat("…", max(1, int(s.MinLength)))
	}
}
