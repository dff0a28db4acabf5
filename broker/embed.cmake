# embed.cmake: -DFROM=file -DTO=file.inc: the bytes of a file as a list of numbers.
file(READ ${FROM} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," list "${hex}")
string(REGEX REPLACE ",$" "" list "${list}")
file(WRITE ${TO} "${list}\n")
