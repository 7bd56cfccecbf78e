package channels

import (
	"net/textproto"
	"strings"
)

// FormHeader is the header of the file in a form, for messengers that take files so. Nothing in its name or type ends the header.
func (u *Upload) FormHeader(field string) textproto.MIMEHeader {
	plain := strings.NewReplacer("\\", "_", `"`, "_", "\r", "_", "\n", "_")
	name, kind := plain.Replace(u.Name), plain.Replace(u.MIME)
	if name == "" {
		name = "file"
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	return textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="` + field + `"; filename="` + name + `"`},
		"Content-Type":        {kind},
	}
}
