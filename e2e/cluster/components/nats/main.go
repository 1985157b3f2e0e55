// Command nats publishes a file to a server and prints what its subscription receives: `nats URL FILE`.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(url, file string) error {
	payload, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	client, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer client.Close()
	subscription, err := client.SubscribeSync("blob")
	if err != nil {
		return err
	}
	if err := client.Publish("blob", payload); err != nil {
		return err
	}
	message, err := subscription.NextMsg(10 * time.Second)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(message.Data)
	return err
}
