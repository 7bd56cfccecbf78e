package media

import (
	"slices"
	"strings"
)

// shown are the types that a browser may show. Anything else, above all what can carry a script, is bytes to be saved.
var shown = []string{
	"image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "image/avif",
	"audio/mpeg", "audio/ogg", "audio/mp4", "audio/x-m4a", "audio/aac", "audio/amr", "audio/wav", "audio/webm", "audio/flac",
	"video/mp4", "video/webm", "video/quicktime", "video/3gpp", "application/pdf", "text/plain",
}

// Shown is the type that a file is served as: its own where a browser may show it, otherwise plain bytes.
func Shown(mime string) string {
	if slices.Contains(shown, mime) {
		return mime
	}
	return "application/octet-stream"
}

// Inline reports whether a page may show the file in its place: pictures, sound and films.
func Inline(mime string) bool {
	top, _, _ := strings.Cut(mime, "/")
	return slices.Contains(shown, mime) && (top == "image" || top == "audio" || top == "video")
}

// KindOf is how a messenger should show a file of this type: photo, video, voice, audio or document.
func KindOf(mime string) string {
	switch top, _, _ := strings.Cut(mime, "/"); {
	case mime == "audio/ogg": // what messengers record
		return "voice"
	case !Inline(mime):
		return "document"
	case top == "image":
		return "photo"
	default:
		return top
	}
}

// Truly is the kind a file is shown as whose sender called it kind: a photo that is no picture is a document.
func Truly(kind, mime string) string {
	top, _, _ := strings.Cut(mime, "/")
	claims := map[string][]string{
		"photo": {"image"}, "video": {"video", "image"}, "voice": {"audio", "video"}, "audio": {"audio", "video"},
		"sticker": {"image", "video"},
	}[kind]
	if claims == nil || slices.Contains(claims, top) && Inline(mime) || kind == "sticker" && mime == "application/gzip" { // .tgs
		return kind
	}
	return "document"
}

// refused are programs and pages, as Put names them: what an agent sends to a customer is none of these.
var refused = []string{
	"text/html", "image/svg+xml", "text/javascript", "text/x-php", "text/x-shellscript",
	"application/vnd.microsoft.portable-executable", "application/x-ms-installer", "application/x-ms-shortcut",
	"application/x-elf", "application/x-executable", "application/x-object", "application/x-sharedlib", "application/x-mach-binary",
	"application/java-archive", "application/x-java-applet", "application/vnd.android.package-archive",
}

// Sendable reports whether agents may send files of this type.
func Sendable(mime string) bool { return !slices.Contains(refused, mime) }
