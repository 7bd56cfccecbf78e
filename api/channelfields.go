package api

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
)

// maskedField stands for a stored secret in answers. It tells nothing of it: a confirmation code may be one character long.
// Sent back, it leaves the secret as it is.
const maskedField = "••••••"

// channelFields puts the values given for a kind's form over those kept, fills in by fill what has neither and has a default
// (S2.19), and checks the whole against the form's own data.
func (s *Server) channelFields(d channels.Description, given map[string]string, kept jobs.ChannelFields, fill *strings.Replacer) (jobs.ChannelFields, []gen.FieldError) {
	given, wrong := fieldsGiven(d, given)
	all := jobs.ChannelFields{Plain: map[string]string{}, Secret: map[string]string{}}
	maps.Copy(all.Plain, kept.Plain)
	maps.Copy(all.Secret, kept.Secret)
	for _, f := range d.Fields {
		values := all.Plain
		if f.Secret {
			values = all.Secret
		}
		value, set := given[f.Name]
		_, known := values[f.Name]
		switch {
		case set && f.Secret && value == maskedField:
		case set && f.Secret:
			values[f.Name] = value
		case set:
			values[f.Name] = chat.Storable(value)
		case !known && f.Default != "":
			values[f.Name] = fill.Replace(f.Default)
		}
		if reason := s.fieldFault(f, values[f.Name]); reason != "" {
			wrong = append(wrong, field("fields."+f.Name, reason))
		}
	}
	return all, wrong
}

// fieldsGiven puts the values given under the fields' own names.
func fieldsGiven(d channels.Description, given map[string]string) (map[string]string, []gen.FieldError) {
	values := map[string]string{}
	var wrong []gen.FieldError
	for _, key := range slices.Sorted(maps.Keys(given)) {
		i := slices.IndexFunc(d.Fields, func(f channels.Field) bool { return sameField(key, f.Name) || sameField(key, f.Label) })
		if i < 0 {
			wrong = append(wrong, field("fields."+key, d.Name+" has no such field"))
			continue
		}
		name := d.Fields[i].Name
		if _, twice := values[name]; twice {
			wrong = append(wrong, field("fields."+name, "this field is given twice, under different spellings"))
		}
		values[name] = given[key]
	}
	return values, wrong
}

// sameField reports whether two spellings name one field: only letters and digits count, and their case does not.
func sameField(a, b string) bool {
	bare := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return unicode.ToLower(r)
			}
			return -1
		}, s)
	}
	return bare(a) == bare(b)
}

// defaultsOf fills the installation's public address and the CRM's into what a kind says about defaults.
func defaultsOf(public, crm string) *strings.Replacer {
	return strings.NewReplacer("{public_url}", public, "{crm_url}", crm)
}

// fieldFault says why a value does not fit its field; empty if it does.
func (s *Server) fieldFault(f channels.Field, value string) string {
	if value == "" {
		if f.Required {
			return "this field is required"
		}
		return ""
	}
	if f.URL {
		if err := s.Options.checkURL(value); err != nil {
			return err.Error()
		}
	}
	if f.Pattern != "" && !regexp.MustCompile(f.Pattern).MatchString(value) {
		return "this does not look like a value of this field"
	}
	return ""
}
