package federation

var Words = words
