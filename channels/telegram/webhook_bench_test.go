package telegram

import (
	"net/http"
	"testing"

	"waggle/channels"
)

// BenchmarkWebhook proves and reads one delivery.
func BenchmarkWebhook(b *testing.B) {
	a, ch := New(http.DefaultClient, DefaultAPI), channels.Channel{HookSecret: testSecret}
	for name, content := range map[string]string{
		"text":  `"text":"Where is my order? It was to come yesterday, and nobody answers the telephone."`,
		"photo": `"caption":"my receipt","photo":[{"file_id":"S","file_unique_id":"s","width":90,"height":67},{"file_id":"X","file_unique_id":"x","width":1280,"height":960}]`,
	} {
		b.Run(name, func(b *testing.B) {
			r := request(testSecret, private("message", content))
			b.ReportAllocs()
			for b.Loop() {
				if d, err := a.Webhook(b.Context(), ch, r); err != nil || len(d.Events) != 1 {
					b.Fatal(d, err)
				}
			}
		})
	}
}
