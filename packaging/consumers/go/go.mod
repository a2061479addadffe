module hello

go 1.26.0

require dcf v0.0.0

// dcf is not hosted yet: this is where it lies.
replace dcf => ../../..
