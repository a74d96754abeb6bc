"""Component files of Dapr, read into providers and registrations.

resource     one document of a file: its name, type, properties and who may load it
secrets      stores of secrets: the environment, a file
properties   what the properties of a component are worth
kinds        conversation.* types: which vendor, where, with which model and key
resiliency   policies of Resiliency documents, for the components they name
gathered     all of it, from the documents of every file
made         the values that come of it

Source: conversation contract sections 3 and 5.
"""
