package main

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
)

// onePixel is a picture that every messenger takes for one.
var onePixel = func() []byte {
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))) // a buffer never fails
	return b.Bytes()
}()

// picturesOf are the n pictures of the message with this text. No two in a run are the same: readers of a picture do not mind
// what stands behind it.
func picturesOf(text string, n int) (all [][]byte) {
	for i := range n {
		all = append(all, fmt.Appendf(bytes.Clone(onePixel), "\n%s, picture %d", text, i+1))
	}
	return all
}
