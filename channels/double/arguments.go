package double

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
)

// Upload is a file of a request.
type Upload struct {
	Name, MIME string
	Data       []byte
}

// Arguments are the arguments and files of a request, however they came: query string, form, JSON or multipart. What is no text in
// JSON stays JSON; null is no argument.
type Arguments struct {
	Values map[string]string
	Files  map[string]Upload
}

// ReadArguments reads a request to its end. A body of any other type carries no arguments.
func ReadArguments(r *http.Request) (Arguments, error) {
	a := Arguments{Values: map[string]string{}, Files: map[string]Upload{}}
	for name, values := range r.URL.Query() {
		a.Values[name] = values[0]
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		fields, err := ReadJSON(r.Body)
		maps.Copy(a.Values, fields)
		return a, err
	case "multipart/form-data":
		return a, a.readMultipart(r)
	case "application/x-www-form-urlencoded":
		if err := r.ParseForm(); err != nil {
			return a, err
		}
		for name, values := range r.PostForm {
			a.Values[name] = values[0]
		}
		return a, nil
	}
	_, err := io.Copy(io.Discard, r.Body)
	return a, err
}

// ReadJSON reads the arguments in an object, or in nothing.
func ReadJSON(body io.Reader) (map[string]string, error) {
	data, err := io.ReadAll(body)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for name, raw := range fields {
		var text string
		if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
			values[name] = text
		} else if string(raw) != "null" {
			values[name] = string(raw)
		}
	}
	return values, nil
}

func (a Arguments) readMultipart(r *http.Request) error {
	parts, err := r.MultipartReader()
	if err != nil {
		return err
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		if part.FileName() == "" {
			a.Values[part.FormName()] = string(data)
		} else {
			a.Files[part.FormName()] = Upload{Name: part.FileName(), MIME: part.Header.Get("Content-Type"), Data: data}
		}
	}
}
