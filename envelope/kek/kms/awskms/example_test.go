package awskms_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/kms/awskms"
)

// A source with the full ARN of its key opens objects without the record of Enrol.
func ExampleNew() {
	keys, err := awskms.New(awskms.Config{
		KeyID: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
		AWS:   aws.Config{Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", "")}, // usually config.LoadDefaultConfig
	})
	fmt.Println(keys.Name(), err)
	// Output: awskms arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab <nil>
}

// With an alias, the record of Enrol has the ARN.
func ExampleConfig() {
	config := awskms.Config{
		KeyID: "alias/vault",
		AWS:   aws.Config{Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", "")},
	}
	keys, err := awskms.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = keys.Wrap(context.Background(), envelope.Ref{}, nil, envelope.AAD{})
	fmt.Println(keys.Name(), errors.Is(err, envelope.ErrNotEnrolled))

	config.Enrolment = &kms.Enrolment{KeyID: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"}
	keys, err = awskms.New(config)
	fmt.Println(keys.Name(), err)
	// Output:
	// awskms alias/vault true
	// awskms arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab <nil>
}
