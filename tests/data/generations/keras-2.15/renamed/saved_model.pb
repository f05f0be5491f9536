“çJ
å!¸!
D
AddV2
x"T
y"T
z"T"
Ttype:
2