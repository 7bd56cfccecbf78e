package api

import (
	"maps"
	"regexp"
	"slices"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/guard"
	"waggle/jobs"
)

// maskedField stands for a stored secret in answers. It tells nothing of it: a confirmation code may be one character long.
// Sent back, it leaves the secret as it is.
const maskedField = "••••••"

// channelFields puts the values given for a kind's form over those kept and checks the whole against the form's own data.
func channelFields(d channels.Description, given map[string]string, kept jobs.ChannelFields) (jobs.ChannelFields, []gen.FieldError) {
	all := jobs.ChannelFields{Plain: map[string]string{}, Secret: map[string]string{}}
	maps.Copy(all.Plain, kept.Plain)
	maps.Copy(all.Secret, kept.Secret)
	var wrong []gen.FieldError
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i := slices.IndexFunc(d.Fields, func(f channels.Field) bool { return f.Name == name })
		switch {
		case i < 0:
			wrong = append(wrong, field("fields."+name, d.Name+" has no such field"))
		case d.Fields[i].Secret && given[name] != maskedField:
			all.Secret[name] = given[name]
		case !d.Fields[i].Secret:
			all.Plain[name] = chat.Storable(given[name])
		}
	}
	for _, f := range d.Fields {
		value := all.Plain[f.Name]
		if f.Secret {
			value = all.Secret[f.Name]
		}
		if reason := fieldFault(f, value); reason != "" {
			wrong = append(wrong, field("fields."+f.Name, reason))
		}
	}
	return all, wrong
}

// fieldFault says why a value does not fit its field; empty if it does.
func fieldFault(f channels.Field, value string) string {
	if value == "" {
		if f.Required {
			return "this field is required"
		}
		return ""
	}
	if f.URL {
		if err := guard.CheckURL(value); err != nil {
			return err.Error()
		}
	}
	if f.Pattern != "" && !regexp.MustCompile(f.Pattern).MatchString(value) {
		return "this does not look like a value of this field"
	}
	return ""
}
