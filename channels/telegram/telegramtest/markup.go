package telegramtest

import (
	"html"
	"regexp"
	"strings"
)

var (
	htmlTag = regexp.MustCompile(`</?([a-zA-Z-]+)(?:\s[^<>]*)?>`)
	link    = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// parseText takes the markup of parse_mode out of a text: limits hold after that (wire/telegram.md §2).
func parseText(text, mode string) (string, *apiError) {
	switch strings.ToLower(mode) {
	case "":
		return text, nil
	case "html":
		return parseHTML(text)
	case "markdownv2":
		return parseMarkdown(text)
	case "markdown":
		return strings.NewReplacer("*", "", "_", "", "`", "").Replace(link.ReplaceAllString(text, "$1")), nil
	}
	return "", badRequest("unsupported parse_mode")
}

func parseHTML(text string) (string, *apiError) {
	var open []string
	for _, tag := range htmlTag.FindAllStringSubmatch(text, -1) {
		switch {
		case !strings.HasPrefix(tag[0], "</"):
			open = append(open, tag[1])
		case len(open) == 0 || open[len(open)-1] != tag[1]:
			return "", badRequest("can't parse entities: unexpected end tag")
		default:
			open = open[:len(open)-1]
		}
	}
	plain := htmlTag.ReplaceAllString(text, "")
	if len(open) > 0 || strings.Contains(plain, "<") {
		return "", badRequest("can't parse entities: can't find end tag")
	}
	return html.UnescapeString(plain), nil
}

// parseMarkdown is MarkdownV2: a reserved character that is not markup must be escaped.
func parseMarkdown(text string) (string, *apiError) {
	var plain strings.Builder
	escaped := false
	for _, r := range link.ReplaceAllString(text, "$1") {
		switch {
		case escaped:
			plain.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case strings.ContainsRune("*_~|`", r):
		case strings.ContainsRune("[](){}<>#+-=.!", r):
			return "", badRequest("can't parse entities: character '" + string(r) + "' is reserved and must be escaped with the preceding '\\'")
		default:
			plain.WriteRune(r)
		}
	}
	return plain.String(), nil
}
