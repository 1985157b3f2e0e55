// Command websocket speaks WebSocket with gorilla's library: `websocket serve PORT` echoes, `websocket call URL` checks an echo.
package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

func main() {
	run := call
	if os.Args[1] == "serve" {
		run = serve
	}
	if err := run(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(port string) error {
	upgrader := websocket.Upgrader{Subprotocols: []string{"echo.v1"}, EnableCompression: true}
	return http.ListenAndServe(":"+port, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.RequestURI != "/chat?room=1" || request.Header.Get("X-User") != "tester" {
			http.Error(answer, request.RequestURI, http.StatusBadRequest)
			return
		}
		connection, err := upgrader.Upgrade(answer, request, nil)
		if err != nil {
			return
		}
		defer connection.Close()
		for {
			kind, message, err := connection.ReadMessage()
			if err != nil {
				return
			}
			if string(message) == "close" {
				goodbye := websocket.FormatCloseMessage(4001, "as asked")
				connection.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(time.Second))
				connection.ReadMessage() // the client's own close
				return
			}
			if connection.WriteMessage(kind, message) != nil {
				return
			}
		}
	}))
}

func call(url string) error {
	dialer := websocket.Dialer{Subprotocols: []string{"other.v2", "echo.v1"}, EnableCompression: true}
	connection, _, err := dialer.Dial(url, http.Header{"X-User": {"tester"}})
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetReadDeadline(time.Now().Add(30 * time.Second))
	if connection.Subprotocol() != "echo.v1" {
		return fmt.Errorf("subprotocol %q", connection.Subprotocol())
	}
	megabyte := make([]byte, 1<<20)
	for at := range megabyte {
		megabyte[at] = byte(at * 7 % 251)
	}
	messages := []struct {
		kind int
		body []byte
	}{
		{websocket.TextMessage, nil},
		{websocket.TextMessage, []byte("hello, wörld")},
		{websocket.BinaryMessage, nil},
		{websocket.BinaryMessage, []byte{0, 255}},
		{websocket.BinaryMessage, megabyte},
		{websocket.TextMessage, []byte(strings.Repeat("x", 70_000))},
	}
	for range 300 {
		messages = append(messages, messages[1])
	}
	for _, message := range messages[:6] {
		if err := exchange(connection, message.kind, message.body); err != nil {
			return err
		}
	}
	for _, message := range messages[6:] {
		if err := connection.WriteMessage(message.kind, message.body); err != nil {
			return err
		}
	}
	for _, message := range messages[6:] {
		if err := expect(connection, message.kind, message.body); err != nil {
			return err
		}
	}
	ponged := ""
	connection.SetPongHandler(func(said string) error { ponged = said; return nil })
	if err := connection.WriteControl(websocket.PingMessage, []byte("still there?"), time.Now().Add(time.Second)); err != nil {
		return err
	}
	if err := exchange(connection, websocket.TextMessage, []byte("after")); err != nil {
		return err
	}
	if ponged != "still there?" {
		return fmt.Errorf("the pong says %q", ponged)
	}
	if err := connection.WriteMessage(websocket.TextMessage, []byte("close")); err != nil {
		return err
	}
	_, _, err = connection.ReadMessage()
	if closed, is := err.(*websocket.CloseError); !is || closed.Code != 4001 || closed.Text != "as asked" {
		return fmt.Errorf("closed with %v", err)
	}
	return nil
}

func exchange(connection *websocket.Conn, kind int, body []byte) error {
	if err := connection.WriteMessage(kind, body); err != nil {
		return err
	}
	return expect(connection, kind, body)
}

func expect(connection *websocket.Conn, kind int, body []byte) error {
	got, message, err := connection.ReadMessage()
	if err != nil {
		return err
	}
	if got != kind || !bytes.Equal(message, body) {
		return fmt.Errorf("%d bytes of kind %d came back as %d of kind %d", len(body), kind, len(message), got)
	}
	return nil
}
